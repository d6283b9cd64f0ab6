package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/api"
)

// fixture is the data of most tests, in Prometheus' own test language.
const fixture = `
load 1m
  up{job="api", instance="a"}       1x59
  up{job="api", instance="b"}       0 1 1 0 _ stale 1x50
  requests_total{job="api", code="200"}  0+60x59
  requests_total{job="api", code="500"}  0+1x30 0+1x28
  odd{kind="nan"}    NaN NaN
  odd{kind="inf"}    Inf -Inf
  odd{kind="small"}  1e-7 -0.0000001
  odd{kind="large"}  1e21 123456789012345678
  odd{kind="zero"}   -0 0
  odd{kind="escaped\"<&>\n\\ü"} 1 2
  latency{job="api"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}+{{schema:0 sum:5 count:4 buckets:[1 2 1]}}x30
  latency{job="neg"} {{schema:1 sum:-2 count:6 z_bucket:2 z_bucket_w:0.01 buckets:[1 0 1] n_buckets:[1 1]}}x30
  latency{job="custom"} {{schema:-53 sum:5 count:4 custom_values:[5 10] buckets:[1 2 1]}}x30
`

var parserOptions = parser.Options{EnableExperimentalFunctions: true}

func newEngine(t testing.TB) *prom.Engine {
	t.Helper()
	engine := prom.NewEngine(prom.EngineOpts{
		MaxSamples:               100_000,
		Timeout:                  time.Minute,
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
		Parser:                   parser.NewParser(parserOptions),
	})
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

func loaded(t testing.TB, script string) *teststorage.TestStorage {
	t.Helper()
	return promqltest.LoadedStorage(t, script)
}

// serveAPI starts a server of the API; change may alter the options before.
func serveAPI(t testing.TB, q storage.Queryable, change func(*api.Options)) *httptest.Server {
	t.Helper()
	o := api.Options{
		Config:    promql.DefaultConfig(),
		Engine:    newEngine(t),
		Parser:    parser.NewParser(parserOptions),
		Queryable: q,
		Reader:    tsdbReader{q},
		Now:       func() time.Time { return time.Unix(1800, 0) },
	}
	if change != nil {
		change(&o)
	}
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux, "")
	a.Register(mux, "/prometheus")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// call sends a request and returns the status and the body.
func call(t testing.TB, server *httptest.Server, method, path string, form url.Values) (int, string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		path += "?" + form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 && !json.Valid(b) {
		t.Fatalf("%s %s: body is not JSON: %.300s", method, path, b)
	}
	return resp.StatusCode, string(b)
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// expect calls with GET and compares the whole body.
func expect(t testing.TB, server *httptest.Server, path string, form url.Values, code int, want string) {
	t.Helper()
	if gotCode, got := call(t, server, http.MethodGet, path, form); gotCode != code || got != want {
		t.Errorf("GET %s %v:\n got %d %s\nwant %d %s", path, form, gotCode, got, code, want)
	}
}
