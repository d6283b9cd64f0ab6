package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	configutil "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// limited is a process with auth.enabled that has two turns for queries, and the tenants a, b and c.
type limited struct {
	*node
	operator, watcher string
	nowMs             int64
}

func startLimited(t *testing.T) limited {
	t.Helper()
	file := filepath.Join(t.TempDir(), "limits.yml")
	if err := os.WriteFile(file, []byte("query: {max_concurrency: 2, max_waiting: 20}\nlimits: {query_range: 30d}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n := start(t, "all", filepath.Join(t.TempDir(), "data"), "--auth.enabled", "--config.file="+file)
	l := limited{node: n, operator: firstKey(t, n), nowMs: time.Now().UnixMilli()}
	for _, id := range []string{"a", "b", "c"} {
		keyCommand(t, n, l.operator, "tenant", "create", id)
	}
	l.watcher = keyCommand(t, n, l.operator, "key", "create", "--tenant=c", "--scope=read", "--also-tenant=*")
	return l
}

// set replaces the limits of "tenants/a" or "keys/ID".
func (l limited) set(t *testing.T, whose, limits string) {
	t.Helper()
	if code := administer(t, http.MethodPut, with(l.operator, l.url), "/"+whose+"/limits", limits, nil); code != http.StatusOK {
		t.Fatalf("setting the limits %s of %s: %d", limits, whose, code)
	}
}

// write writes five samples of each of three series of a tenant.
func (l limited) write(t *testing.T, id string) {
	t.Helper()
	for i := range int64(5) {
		if code := postSamples(with(l.operator, l.url), id, l.nowMs-i*15_000, 1, 3, map[string]string{"__name__": "up", "job": id}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
}

// writeOld writes eighteen samples of each of three series of tenants, in three whole hours, and returns the end of these.
func (l limited) writeOld(t *testing.T, tenants ...string) (endMs int64) {
	t.Helper()
	const hour = 3_600_000
	endMs = l.nowMs/hour*hour - 2*hour
	for at := endMs - 3*hour + 1000; at < endMs; at += 600_000 {
		for _, id := range tenants {
			if code := postSamples(with(l.operator, l.url), id, at, 1, 3, map[string]string{"__name__": "old", "job": id}); code != http.StatusNoContent {
				t.Fatalf("write answered %d", code)
			}
		}
	}
	return endMs
}

// TestQueryLimits hits each limit of queries by an override for a tenant, and then for a key.
func TestQueryLimits(t *testing.T) {
	t.Parallel()
	l := startLimited(t)
	l.write(t, "a")
	l.write(t, "b")
	read := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=a", "--scope=read", "--also-tenant=b")
	at := seconds(float64(l.nowMs) / 1000)
	instantly := func(expr string) string { return "/api/v1/query?time=" + at + "&query=" + url.QueryEscape(expr) }
	begin := seconds(float64(l.nowMs)/1000 - 7200)
	for _, c := range []struct {
		limits, path string
		code         int
		want         string
	}{
		{`{"query_series":2}`, instantly(`up`), 422, "query_series"},
		{`{"query_series":2}`, "/api/v1/series?match[]=up", 422, "query_series"},
		{`{"query_series":2}`, "/federate?match[]=up", 400, "query_series"},
		{`{"query_samples":10}`, instantly(`sum(count_over_time(up[5m]))`), 422, "query_samples"},
		{`{"query_range":"1h"}`, instantly(`rate(up[2h])`), 422, "query_range"},
		{`{"query_range":"1h"}`, "/api/v1/query_range?step=60&query=up&start=" + begin + "&end=" + at, 422, "query_range"},
		{`{"query_range":"2h"}`, "/api/v1/query_range?step=60&query=up&start=" + begin + "&end=" + at, 200, ""},
		{`{"query_duration":"1ms"}`, instantly(`count_over_time(vector(1)[1h:5ms])`), 503, "query_duration"},
	} {
		for _, whose := range []string{"tenants/a", "keys/" + strings.Split(read, "_")[1]} {
			l.set(t, whose, c.limits)
			of := map[bool]string{true: " of the tenant", false: " of the key"}[whose == "tenants/a"]
			if c.want == "" {
				of = ""
			}
			for _, tenants := range []string{"a", "a|b"} {
				eventually(t, 10*time.Second, "the limit to be in force", func() error {
					code, body := request(t, with(read, l.url)+c.path, "X-Scope-OrgID", tenants, "X-Read-Consistency", "strong")
					if code != c.code || !strings.Contains(body, c.want+of) {
						return fmt.Errorf("%s %s of %s: %d %s, want %d with %s", c.limits, c.path, tenants, code, body, c.code, c.want+of)
					}
					return nil
				})
			}
			l.set(t, whose, `{}`)
		}
	}
	// The default of the configuration file.
	eventually(t, 10*time.Second, "the default", func() error {
		code, body := request(t, with(read, l.url)+instantly(`rate(up[31d])`))
		if code != 422 || !strings.Contains(body, "more than 30d") {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if n, err := metricSum(with(l.watcher, l.url), "metricstream_api_limit_hits_total"); err != nil || n < 20 {
		t.Errorf("%v limits were counted, %v", n, err)
	}
}

// TestQueriesTakeTurns floods a process with the slow queries of one tenant: another one's query is answered in its turn,
// and what is too much for the queue is refused.
func TestQueriesTakeTurns(t *testing.T) {
	t.Parallel()
	l := startLimited(t)
	l.set(t, "tenants/a", `{"concurrent_queries":1}`)
	loud := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=a", "--scope=read")
	quiet := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=b", "--scope=read")
	gauge := func(name string) float64 {
		n, err := metricSum(with(l.watcher, l.url), name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slow := func(i int) string {
		return "/api/v1/query?query=" + url.QueryEscape(fmt.Sprintf("%d + count_over_time(vector(1)[1h:2ms])", i))
	}
	const flood = 30
	var answered, refused atomic.Int64
	var all sync.WaitGroup
	for i := range flood {
		all.Go(func() {
			code, body := request(t, with(loud, l.url)+slow(i))
			switch {
			case code == 200:
				answered.Add(1)
			case code == 429 && strings.Contains(body, "too many outstanding requests"):
				refused.Add(1)
			default:
				t.Errorf("%d %s", code, body)
			}
		})
	}
	eventually(t, 30*time.Second, "the queue to be full", func() error {
		if refused.Load() == 0 {
			return fmt.Errorf("%v wait", gauge("metricstream_query_queue_length"))
		}
		return nil
	})
	if n := gauge("metricstream_query_queue_running"); n > 1 {
		t.Errorf("%v queries of a tenant run that may run one", n)
	}
	// The tenant's bound leaves a turn for others; without it they take turns.
	for i := range 2 {
		before := answered.Load()
		if code, body := request(t, with(quiet, l.url)+slow(100+i)); code != 200 {
			t.Errorf("the other tenant: %d %s", code, body)
		}
		if meanwhile := answered.Load() - before; meanwhile > 4 {
			t.Errorf("%d queries of the loud tenant were answered before one of the quiet one", meanwhile)
		}
		l.set(t, "tenants/a", `{}`)
	}
	if answered.Load()+refused.Load() >= flood {
		t.Error("the flood was over before the other tenant was answered: this shows nothing")
	}
	all.Wait()
	if n := gauge("metricstream_query_queue_refused_total"); n < 1 || answered.Load() < 20 {
		t.Errorf("%v were refused, %v answered", n, answered.Load())
	}
}

// TestReadSeveralTenants reads two tenants as one by every endpoint, with a key for both and with one for one of them.
func TestReadSeveralTenants(t *testing.T) {
	t.Parallel()
	l := startLimited(t)
	l.write(t, "a")
	l.write(t, "b")
	l.write(t, "c")
	endMs := l.writeOld(t, "a", "b")
	both := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=a", "--scope=read", "--scope=write", "--also-tenant=b")
	own := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=a", "--scope=read")
	narrow := keyCommand(t, l.node, l.operator, "key", "create", "--tenant=a", "--scope=read", "--also-tenant=b", `--selector={i="0"}`)
	at := seconds(float64(l.nowMs) / 1000)
	for path, want := range map[string][]string{
		"/api/v1/query?query=" + url.QueryEscape(`count by (__tenant_id__) (up)`) + "&time=" + at:                             {`{"__tenant_id__":"a"},"value":[` + at + `,"3"]`, `{"__tenant_id__":"b"},"value":[` + at + `,"3"]`},
		"/api/v1/query?query=" + url.QueryEscape(`up{__tenant_id__!="a",i="1"}`) + "&time=" + at:                              {`"__tenant_id__":"b","i":"1","job":"b"`},
		"/api/v1/query_range?query=" + url.QueryEscape(`sum(count_over_time(up[2m]))`) + "&step=1&start=" + at + "&end=" + at: {`"30"`},
		"/api/v1/series?match[]=" + url.QueryEscape(`up{i="2"}`):                                                              {`"__tenant_id__":"a","i":"2","job":"a"`, `"__tenant_id__":"b","i":"2","job":"b"`},
		"/api/v1/labels":                     {`"data":["__name__","__tenant_id__","i","job"]`},
		"/api/v1/label/__tenant_id__/values": {`"data":["a","b"]`},
		"/api/v1/label/job/values?match[]=" + url.QueryEscape(`up{__tenant_id__=~"b|c"}`): {`"data":["b"]`},
		"/federate?match[]=up": {`__tenant_id__="a"`, `__tenant_id__="b"`},
		"/api/v1/metadata":     {`"data":{}`},
		"/api/v1/query_exemplars?query=up&start=" + at + "&end=" + at:                {`"data":[]`},
		"/prometheus/api/v1/query?query=" + url.QueryEscape(`up{__tenant_id__="c"}`): {`"result":[]`},
	} {
		code, body := request(t, with(both, l.url)+path, "X-Scope-OrgID", "b|a", "X-Read-Consistency", "strong")
		for _, w := range want {
			if code != 200 || !strings.Contains(body, w) || strings.Contains(body, `"c"`) {
				t.Errorf("%s: %d %s, want %s", path, code, body, w)
			}
		}
		for _, tenants := range []string{"a|b", "b|a", "b|b", "a|c", "a||b", " a | b ", "a|b|nobody"} {
			if code, body := request(t, with(own, l.url)+path, "X-Scope-OrgID", tenants); code != 403 && code != 400 {
				t.Errorf("%s of %s by a key for one of them: %d %s", path, tenants, code, body)
			}
		}
		if code, body := request(t, with(narrow, l.url)+path, "X-Scope-OrgID", "a|b"); code != 200 || strings.Contains(body, `"i":"1"`) || strings.Contains(body, `i="1"`) {
			t.Errorf("%s by a key for a part: %d %s", path, code, body)
		}
	}
	for _, tenants := range []string{"a|b", "a|a"} {
		if code := postSamples(with(both, l.url), tenants, l.nowMs, 1, 1, map[string]string{"__name__": "up"}); code != http.StatusBadRequest {
			t.Errorf("a write for %s: %d", tenants, code)
		}
	}
	remoteReadOfSeveral(t, with(both, l.url), l.nowMs)
	// The same from rows of hours.
	path := fmt.Sprintf("/api/v1/query?query=%s&explain=1&time=%d", url.QueryEscape(`sum by (__tenant_id__) (count_over_time(old[3h]))`), endMs/1000)
	eventually(t, 3*time.Minute, "hours of both tenants", func() error {
		_, body := request(t, with(both, l.url)+path, "X-Scope-OrgID", "a|b", "X-MetricStream-Resolution", "1h")
		for _, want := range []string{`{"__tenant_id__":"a"},"value":[` + fmt.Sprint(endMs/1000) + `,"54"]`, `{"__tenant_id__":"b"},"value":[` + fmt.Sprint(endMs/1000) + `,"54"]`, `"tier":"1h"`} {
			if err := contains(body, want); err != nil {
				return err
			}
		}
		return nil
	})
	testenv.WaitOK(t, l.Process, l.url+"/-/ready", time.Minute)
}

// remoteReadOfSeveral reads with Prometheus' own client.
func remoteReadOfSeveral(t *testing.T, server string, nowMs int64) {
	t.Helper()
	u, err := url.Parse(server + "/api/v1/read")
	if err != nil {
		t.Fatal(err)
	}
	client, err := remote.NewReadClient("several", &remote.ClientConfig{
		URL: &configutil.URL{URL: u}, Timeout: model.Duration(time.Minute), ChunkedReadLimit: 5e7, Headers: map[string]string{"X-Scope-OrgID": "a|b"},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS},
	})
	if err != nil {
		t.Fatal(err)
	}
	query, err := remote.ToQuery(nowMs-120_000, nowMs, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	set, err := client.Read(t.Context(), query, true)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for set.Next() {
		ls := set.At().Labels()
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			seen[ls.Get("__tenant_id__")+" "+ls.Get("job")]++
		}
	}
	if err := set.Err(); err != nil || len(seen) != 2 || seen["a a"] != 15 || seen["b b"] != 15 {
		t.Errorf("remote read: %v, %v", seen, err)
	}
}
