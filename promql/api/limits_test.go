package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// held serves the data of most tests to tenants with limits.
func held(t *testing.T, m *memory.Store, grants map[string]limits.Grant, reg prometheus.Registerer) *httptest.Server {
	t.Helper()
	return serveAPI(t, nil, func(o *api.Options) {
		overMemory(o, m)
		o.Config.MaxSeries, o.Config.MaxSamples = 100, 10_000
		o.Queryable = adapter.NewQueryable(m, adapter.Limits{MaxSeries: 100, MaxSamples: 10_000})
		o.Grant = func(_ context.Context, id string) limits.Grant {
			g := grants[id]
			g.Tenant = id
			return g
		}
		o.Registerer = reg
	})
}

func readBody(t *testing.T, q *prompb.Query) string {
	t.Helper()
	raw, err := (&prompb.ReadRequest{Queries: []*prompb.Query{q}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, raw))
}

// TestLimitsOfTenants: each endpoint obeys the limits that make sense for it, and says which one ended a request.
func TestLimitsOfTenants(t *testing.T) {
	m := memory.New()
	grants := map[string]limits.Grant{
		"series":  {Limits: limits.Limits{QuerySeries: 1}},
		"samples": {Limits: limits.Limits{QuerySamples: 10}},
		"range":   {Limits: limits.Limits{QueryRange: model.Duration(10 * time.Minute)}},
		"key":     {Limits: limits.Limits{QuerySeries: 50}, Key: "k", KeyLimits: limits.Limits{QuerySeries: 1, QueryRange: model.Duration(time.Minute)}},
		"free":    {},
		"wide":    {Limits: limits.Limits{QuerySeries: 1000, QuerySamples: 1e9, QueryRange: model.Duration(24 * time.Hour), QueryDuration: model.Duration(time.Hour)}},
	}
	for id := range grants {
		copyInto(t, m, loaded(t, fixture), id)
	}
	reg := prometheus.NewRegistry()
	server := held(t, m, grants, reg)
	ask := func(id, path string, form url.Values) (int, string) {
		t.Helper()
		method, body := http.MethodGet, ""
		if path == "/api/v1/read" {
			method, body = http.MethodPost, readBody(t, readQuery(t, 0, 1_800_000, everything()))
		}
		if len(form) > 0 {
			path += "?" + form.Encode()
		}
		resp, text := send(t, server, method, path, body, forTenant(id))
		return resp.StatusCode, text
	}
	all := values("query", `{__name__!=""}`, "match[]", `{__name__!=""}`, "start", "0", "end", "1800", "step", "60", "time", "1800")
	ranged := func(query string) url.Values { return values("query", query, "time", "1800") }
	for _, c := range []struct {
		id, path string
		form     url.Values
		code     int
		want     string
	}{
		{"series", "/api/v1/query", all, 422, "more than 1 series; choose fewer by label matchers, or raise the limit query_series of the tenant"},
		{"series", "/api/v1/query_range", all, 422, "the limit query_series of the tenant"},
		{"series", "/api/v1/series", all, 422, "the limit query_series of the tenant"},
		{"series", "/api/v1/read", nil, 400, "the limit query_series of the tenant"},
		{"series", "/federate", all, 400, "the limit query_series of the tenant"},
		{"key", "/api/v1/series", all, 422, "the limit query_series of the key"},
		{"samples", "/api/v1/query_range", all, 422, "more than 10 samples; choose a shorter time or fewer series, or raise the limit query_samples of the tenant"},
		{"samples", "/api/v1/read", nil, 400, "the limit query_samples of the tenant"},
		{"samples", "/api/v1/query", ranged("up"), 200, ""},
		{"range", "/api/v1/query_range", all, 422, "the query is over 30m, more than 10m; choose a shorter time, or raise the limit query_range of the tenant"},
		{"range", "/api/v1/query_range", values("query", "up", "start", "0", "end", "600", "step", "60"), 200, ""},
		{"range", "/api/v1/query_range", values("query", "rate(up[11m])", "start", "0", "end", "600", "step", "60"), 422, "the query is over 11m"},
		{"range", "/api/v1/query", ranged("rate(up[10m])"), 200, ""},
		{"range", "/api/v1/query", ranged("rate(up[5m * 3])"), 422, "the query is over 15m"},
		{"range", "/api/v1/query", ranged("max_over_time(rate(up[6m])[5m:1m])"), 422, "the query is over 11m"},
		{"range", "/api/v1/query", ranged("up[11m]"), 422, "the query is over 11m"},
		{"range", "/api/v1/query", ranged("up offset 1d"), 200, ""},
		{"range", "/api/v1/query", ranged("rate(up[1d]"), 400, "parse error"},
		{"range", "/api/v1/query", values("query", "up", "time", "1800", "lookback_delta", "5m"), 200, ""},
		{"range", "/api/v1/query", values("query", "up", "time", "1800", "lookback_delta", "1y"), 422, "the query is over"},
		{"range", "/api/v1/query_range", values("query", "up", "start", "0", "end", "600", "step", "60", "lookback_delta", "6m"), 422, "the query is over 11m"},
		{"range", "/api/v1/query_range", values("query", "up", "start", "0", "end", "600", "step", "60", "lookback_delta", "1m"), 200, ""},
		{"range", "/api/v1/query_range", values("query", "up", "start", "-9000000000", "end", "600", "step", "10000000", "lookback_delta", "292y"), 422, "the query is over"},
		{"range", "/api/v1/query_exemplars", values("query", "up", "start", "1200", "end", "9999999999"), 200, ""},
		{"range", "/api/v1/query_exemplars", values("query", "up", "start", "1000", "end", "1800"), 422, "the query is over 13m20s"},
		{"range", "/api/v1/query_exemplars", values("query", "up"), 422, "the query is over"},
		{"range", "/api/v1/query_exemplars", values("query", "test", "start", "1798000", "end", "1800000"), 200, ""},
		{"range", "/api/v1/labels", nil, 200, ""}, {"range", "/api/v1/series", all, 200, ""},
		{"range", "/api/v1/read", nil, 400, "the query is over 30m"},
		{"key", "/api/v1/query", ranged("rate(up[2m])"), 422, "raise the limit query_range of the key"},
		{"free", "/api/v1/query_range", all, 200, ""}, {"free", "/api/v1/series", all, 200, ""}, {"free", "/api/v1/read", nil, 200, ""}, {"free", "/federate", all, 200, ""},
		{"wide", "/api/v1/query_range", all, 200, ""}, {"wide", "/api/v1/series", all, 200, ""}, {"wide", "/api/v1/read", nil, 200, ""}, {"wide", "/federate", all, 200, ""},
	} {
		if code, text := ask(c.id, c.path, c.form); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %v: got %d %.300s, want %d with %q", c.id, c.path, c.form, code, text, c.code, c.want)
		}
	}
	for limit, n := range map[string]float64{"query_series": 6, "query_samples": 2, "query_range": 12} {
		if got := hits(t, reg, limit); got != n {
			t.Errorf("%s was counted %v times, want %v", limit, got, n)
		}
	}
}

func hits(t *testing.T, reg *prometheus.Registry, limit string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "metricstream_api_limit_hits_total" && m.GetLabel()[0].GetValue() == limit {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestQueryDuration: what takes longer than the tenant may is ended, and says so.
func TestQueryDuration(t *testing.T) {
	reg := prometheus.NewRegistry()
	server := serveAPI(t, nil, func(o *api.Options) {
		overBroken(brokenStore{wait: waitForEnd})(o)
		o.Registerer = reg
		o.Grant = func(context.Context, string) limits.Grant {
			return limits.Grant{Limits: limits.Limits{QueryDuration: model.Duration(20 * time.Millisecond)}}
		}
	})
	want := "it took longer than 20ms; ask for less, or raise the limit query_duration of the tenant"
	for _, r := range readingEndpoints {
		code, body := call(t, server, http.MethodGet, "/api/v1/"+r.path, r.form)
		if code != 503 || !strings.Contains(body, `"errorType":"timeout"`) || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s", r.path, code, body)
		}
	}
	if resp, body := send(t, server, http.MethodGet, "/federate?match[]=up", "", nil); resp.StatusCode != 503 || !strings.Contains(body, want) {
		t.Errorf("federate: got %d %s", resp.StatusCode, body)
	}
	if n := hits(t, reg, "query_duration"); n != float64(len(readingEndpoints)+1) {
		t.Errorf("counted %v times", n)
	}
	// A request's own timeout is not the tenant's.
	code, body := call(t, server, http.MethodGet, "/api/v1/query", values("query", "up", "timeout", "1ms"))
	if code != 503 || strings.Contains(body, "query_duration") {
		t.Errorf("timeout parameter: got %d %s", code, body)
	}
}

// queued serves a store whose reads tell entered of their tenant and wait for leave, and answers of it.
type queued struct {
	server  *httptest.Server
	reg     *prometheus.Registry
	entered chan string
	ended   chan int
	leave   func() // lets all go on
}

func newQueued(t *testing.T, concurrency int, grant func(id string) limits.Grant) *queued {
	t.Helper()
	left := make(chan struct{})
	q := &queued{reg: prometheus.NewRegistry(), entered: make(chan string, 100), ended: make(chan int, 100), leave: sync.OnceFunc(func() { close(left) })}
	q.server = serveAPI(t, nil, func(o *api.Options) {
		b := brokenStore{err: store.Limitf("left"), wait: func(ctx context.Context) error {
			q.entered <- limits.FromContext(ctx).Tenant
			<-left
			return nil
		}}
		overBroken(b)(o)
		o.Config.MaxConcurrency, o.Config.MaxWaiting = concurrency, 3
		o.Turns = promql.NewTurns(o.Config, q.reg)
		o.Engine = tiered.New(tiered.Options{Config: o.Config, Turns: o.Turns, Tiers: &tiertest.Reader{Store: b}})
		o.Parser = promql.NewParser()
		o.Queryable = adapter.NewTieredQueryable(b, rollup.NewStitch(&tiertest.Reader{Store: b}, b), adapter.Limits{})
		o.Grant = func(_ context.Context, id string) limits.Grant { return grant(id) }
	})
	t.Cleanup(q.leave)
	return q
}

func (q *queued) ask(t *testing.T, id, path string) {
	go func() {
		resp, _ := send(t, q.server, http.MethodGet, path, "", forTenant(id))
		q.ended <- resp.StatusCode
	}()
}

// waits returns when so many reads are in the queue, none of which may have a turn.
func (q *queued) waits(t *testing.T, n int) {
	t.Helper()
	for testutil.ToFloat64(gaugeOf(t, q.reg)) != float64(n) {
		select {
		case id := <-q.entered:
			t.Fatalf("a read of %s has a turn", id)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestOneQueueForAllReads: queries, look-ups, remote reads and federations wait in one queue, tenants in turn, and who
// finds it full is told when to come again.
func TestOneQueueForAllReads(t *testing.T) {
	q := newQueued(t, 1, func(id string) limits.Grant { return limits.Grant{Tenant: id} })
	ask := func(id, path string) { q.ask(t, id, path) }
	inQueue := func(n int) { q.waits(t, n) }
	waiting, entered, ended := q.server, q.entered, q.ended
	ask("loud", "/api/v1/query?query=up")
	if first := <-entered; first != "loud" {
		t.Fatalf("%s was first", first)
	}
	for i, path := range []string{"/api/v1/labels", "/federate?match[]=up", "/api/v1/query_range?query=up&start=0&end=1&step=1"} {
		ask("loud", path)
		inQueue(i + 1)
	}
	for _, path := range []string{"/api/v1/query?query=up", "/api/v1/series?match[]=up", "/federate?match[]=up"} {
		resp, body := send(t, waiting, http.MethodGet, path, "", forTenant("loud"))
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "5" || !strings.Contains(body, "too many outstanding requests: 3 of the tenant") {
			t.Errorf("%s: got %d %v %s", path, resp.StatusCode, resp.Header, body)
		}
	}
	ask("quiet", "/api/v1/label/job/values")
	inQueue(4)
	q.leave()
	var order []string
	for range 5 {
		<-ended
	}
	for range 4 {
		order = append(order, <-entered)
	}
	if got := strings.Join(order, " "); got != "loud quiet loud loud" {
		t.Errorf("the order of turns was %s", got)
	}
}

// TestReadsOfSeveralCountForEach: whatever names a tenant is read under, it runs as many queries at once as it may, and so
// does a key; others do not wait for them.
func TestReadsOfSeveralCountForEach(t *testing.T) {
	q := newQueued(t, 8, func(id string) limits.Grant {
		g := limits.Grant{Tenant: id, Home: "a"}
		switch id {
		case "a":
			g.Limits.ConcurrentQueries = 1
		case "x", "y":
			g.Key, g.KeyLimits.ConcurrentQueries = "k", 1
		}
		return g
	})
	const path = "/api/v1/query?query=up"
	waiting := 0
	for _, c := range []struct{ id, then string }{
		{"a", "runs"}, {"a|b", "waits"}, {"c|a", "waits"}, {"b|c", "runs"}, {"x", "runs"}, {"y", "waits"}, {"y|x", "waits"},
	} {
		q.ask(t, c.id, path)
		if c.then == "runs" {
			if id := <-q.entered; id != c.id {
				t.Fatalf("%s has a turn, rather than %s", id, c.id)
			}
			continue
		}
		waiting++
		q.waits(t, waiting)
	}
	q.leave()
	for range 7 {
		<-q.ended
	}
}

func gaugeOf(t *testing.T, reg *prometheus.Registry) prometheus.Gauge {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "copy"})
	for _, f := range families {
		if f.GetName() == "metricstream_query_queue_length" {
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return g
}

func forTenant(id string) http.Header { return http.Header{tenant.Header: {id}} }
