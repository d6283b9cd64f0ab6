package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/tenant"
)

// send sends a request with headers, uncompressed and as it is.
func send(t testing.TB, server *httptest.Server, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	server := serveAPI(t, loaded(t, ""), nil)
	for _, c := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/api/v1/nothing", 404, `"errorType":"not_found"`},
		{"GET", "/api/v1/", 404, `"errorType":"not_found"`},
		{"GET", "/api/v1/label//values", 404, `"errorType":"not_found"`},
		{"POST", "/api/v1/admin/tsdb/delete_series", 404, `"errorType":"not_found"`},
		{"PUT", "/api/v1/admin/tsdb/snapshot", 404, `"errorType":"not_found"`},
		{"POST", "/api/v1/label/job/values", 405, `"errorType":"bad_data"`},
		{"DELETE", "/api/v1/query", 405, `"errorType":"bad_data"`},
		{"GET", "/api/v1/read", 405, `"errorType":"bad_data"`},
	} {
		resp, body := send(t, server, c.method, c.path, "", nil)
		if c.path == "/api/v1/label//values" && resp.StatusCode/100 == 3 {
			continue // the mux cleans paths
		}
		if resp.StatusCode != c.code || !strings.Contains(body, c.want) || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, resp.StatusCode, body, c.code, c.want)
		}
		if c.code == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", c.method, c.path)
		}
	}
}

func TestCORS(t *testing.T) {
	open := serveAPI(t, loaded(t, ""), nil)
	narrow := serveAPI(t, loaded(t, ""), func(o *api.Options) { o.Config.CORSOrigin = `https://.*\.example\.com` })
	for _, c := range []struct {
		server       *httptest.Server
		origin, want string
	}{
		{open, "https://a.example.com", "*"}, {open, "", ""},
		{narrow, "https://a.example.com", "https://a.example.com"}, {narrow, "https://a.example.com.evil.org", ""},
	} {
		for _, method := range []string{"GET", "OPTIONS"} {
			header := http.Header{}
			if c.origin != "" {
				header.Set("Origin", c.origin)
			}
			resp, _ := send(t, c.server, method, "/api/v1/query?query=1", "", header)
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != c.want {
				t.Errorf("%s from %q: got %q, want %q", method, c.origin, got, c.want)
			}
			if method == "OPTIONS" && resp.StatusCode != 204 {
				t.Errorf("OPTIONS: got %d", resp.StatusCode)
			}
		}
	}
	if resp, _ := send(t, open, "OPTIONS", "/api/v1/whatever", "", nil); resp.StatusCode != 204 {
		t.Errorf("OPTIONS of an unknown path: got %d", resp.StatusCode)
	}
}

func TestCompression(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	path := "/api/v1/query_range?query=up&start=0&end=1800&step=5"
	_, plain := send(t, server, "GET", path, "", nil)
	resp, packed := send(t, server, "GET", path, "", http.Header{"Accept-Encoding": {"gzip"}})
	if resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers: %v", resp.Header)
	}
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(r); err != nil || string(unpacked) != plain {
		t.Errorf("unpacked %d bytes (%v), want %d", len(unpacked), err, len(plain))
	}
}

func TestBodyAndURLAreMerged(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	resp, body := send(t, server, "POST", "/api/v1/query?time=60&stats=true&query=wrong(", "query=1%2B1", header)
	if resp.StatusCode != 200 || !strings.HasPrefix(body, `{"status":"success","data":{"resultType":"scalar","result":[60,"2"],"stats":{`) {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	resp, body = send(t, server, "POST", "/api/v1/series?match[]=up", "match[]=latency&limit=4", header)
	if resp.StatusCode != 200 || strings.Count(body, "__name__") != 4 || !strings.Contains(body, `"up"`) || !strings.Contains(body, "latency") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	for _, bad := range []string{"/api/v1/query?query=%zz", "/api/v1/query?query=a;b"} {
		if resp, body := send(t, server, "GET", bad, "", nil); resp.StatusCode != 400 || !strings.Contains(body, "error parsing form values") {
			t.Errorf("%s: got %d %s", bad, resp.StatusCode, body)
		}
	}
	large := "query=" + strings.Repeat("x", 11<<20)
	if resp, body := send(t, server, "POST", "/api/v1/query", large, header); resp.StatusCode != 400 || !strings.Contains(body, "too large") {
		t.Errorf("a large body: got %d %.200s", resp.StatusCode, body)
	}
}

func TestTenants(t *testing.T) {
	m := copied(t, loaded(t, fixture), "team-a")
	server := serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) })
	for _, path := range []string{"query?query=up&time=60", "series?match[]=up", "labels", "label/job/values"} {
		_, own := send(t, server, "GET", "/api/v1/"+path, "", http.Header{tenant.Header: {"team-a"}})
		_, other := send(t, server, "GET", "/api/v1/"+path, "", http.Header{tenant.Header: {"team-b"}})
		_, none := send(t, server, "GET", "/api/v1/"+path, "", nil)
		if !strings.Contains(own, "job") && !strings.Contains(own, "api") || strings.Contains(other, "job") || other != none {
			t.Errorf("%s: own %s, other %s, none %s", path, own, other, none)
		}
		resp, body := send(t, server, "GET", "/api/v1/"+path, "", http.Header{tenant.Header: {"a/b"}})
		if resp.StatusCode != 400 || !strings.Contains(body, `"errorType":"bad_data"`) || !strings.Contains(body, tenant.Header) {
			t.Errorf("%s: a bad tenant got %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	server := serveAPI(t, loaded(t, fixture), func(o *api.Options) { o.Registerer = reg })
	call(t, server, "GET", "/api/v1/query", values("query", "up"))
	call(t, server, "GET", "/api/v1/query", values("query", "up{"))
	call(t, server, "GET", "/api/v1/label/job/values", nil)
	call(t, server, "GET", "/api/v1/label/instance/values", nil)
	call(t, server, "GET", "/api/v1/some/thing", nil)
	call(t, server, "GET", "/api/v1/query_range", values("query", "up", "start", "0", "end", "20000", "step", "1"))
	if n, err := testutil.GatherAndCount(reg, "metricstream_api_request_duration_seconds"); err != nil || n != 5 {
		t.Errorf("%d durations (%v), want one each of query 200, query 400, label_values, unknown, query_range", n, err)
	}
	want := `
# HELP metricstream_api_limit_hits_total Requests that ended at a limit: those of query.* and of tenants and keys by their names, resolution (more than 11,000 points), queue (too many wait for a turn), concurrency (waited too long for one).
# TYPE metricstream_api_limit_hits_total counter
metricstream_api_limit_hits_total{limit="resolution"} 1
# HELP metricstream_api_queries_in_flight PromQL queries and remote reads that run or wait for their turn.
# TYPE metricstream_api_queries_in_flight gauge
metricstream_api_queries_in_flight 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "metricstream_api_limit_hits_total", "metricstream_api_queries_in_flight"); err != nil {
		t.Error(err)
	}
}
