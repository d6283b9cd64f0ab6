package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
)

// brokenStore answers every read with an error, after wait.
type brokenStore struct {
	err  error
	wait func(ctx context.Context) error
}

func (b brokenStore) fail(ctx context.Context) error {
	if b.wait != nil {
		if err := b.wait(ctx); err != nil {
			return err
		}
	}
	return b.err
}

func (b brokenStore) Select(ctx context.Context, _ store.Selection, _ func(*store.SeriesData) error) error {
	return b.fail(ctx)
}

func (b brokenStore) Series(ctx context.Context, _ store.Selection) ([]labels.Labels, error) {
	return nil, b.fail(ctx)
}

func (b brokenStore) LabelNames(ctx context.Context, _ store.Selection) ([]string, error) {
	return nil, b.fail(ctx)
}

func (b brokenStore) LabelValues(ctx context.Context, _ string, _ store.Selection) ([]string, error) {
	return nil, b.fail(ctx)
}

func (b brokenStore) Exemplars(ctx context.Context, _ store.Selection) ([]store.SeriesExemplars, error) {
	return nil, b.fail(ctx)
}

func (b brokenStore) Metadata(ctx context.Context, _, _ string) ([]store.Metadata, error) {
	return nil, b.fail(ctx)
}

func (b brokenStore) Stats(ctx context.Context, _ string, _ int) (store.Stats, error) {
	return store.Stats{}, b.fail(ctx)
}

func overBroken(b brokenStore) func(*api.Options) {
	return func(o *api.Options) {
		o.Queryable = adapter.NewQueryable(b, adapter.Limits{})
		o.Reader, o.ExemplarReader, o.MetadataReader, o.Stats = b, b, b, b
	}
}

var readingEndpoints = []request{
	req("query", "query", "sum(up) + rate(up[5m])"),
	req("query_range", "query", "up", "start", "0", "end", "60", "step", "15"),
	req("query_exemplars", "query", "up"), req("series", "match[]", "up"), req("labels"), req("label/job/values"),
	req("metadata"), req("status/tsdb"),
}

func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"unavailable", errors.New("dial tcp: connection refused"), 503, `"errorType":"unavailable","error":"`},
		{"limit", store.Limitf("more than 10 series; raise query.max_series"), 422, `"errorType":"execution","error":"`},
		{"invalid", store.Invalidf("the regular expression is too large"), 400, `"errorType":"bad_data","error":"`},
		{"canceled by the store", context.Canceled, 499, `"errorType":"canceled","error":"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := serveAPI(t, nil, overBroken(brokenStore{err: c.err}))
			for _, r := range readingEndpoints {
				if c.name == "canceled by the store" && strings.HasPrefix(r.path, "query") && r.path != "query_exemplars" {
					continue // through the adapter only the query's own context counts
				}
				resp, body := send(t, server, http.MethodGet, "/api/v1/"+r.path+"?"+r.form.Encode(), "", nil)
				code := resp.StatusCode
				if (code == 503) != (resp.Header.Get("Retry-After") == "5") {
					t.Errorf("%s: got %d with %v", r.path, code, resp.Header)
				}
				if code != c.code || !strings.HasPrefix(body, `{"status":"error",`+c.want) || !strings.Contains(body, c.err.Error()) {
					t.Errorf("%s: got %d %s, want %d with %s", r.path, code, body, c.code, c.want)
				}
			}
		})
	}
}

func waitForEnd(ctx context.Context) error {
	<-ctx.Done()
	return errors.New("the driver gave up") // as drivers do that hide the context's error
}

func TestTimeouts(t *testing.T) {
	server := serveAPI(t, nil, func(o *api.Options) {
		overBroken(brokenStore{wait: waitForEnd})(o)
		o.Config.Timeout = 20e6 // nanoseconds
	})
	for _, r := range readingEndpoints {
		code, body := call(t, server, http.MethodGet, "/api/v1/"+r.path, r.form)
		if code != 503 || !strings.Contains(body, `"errorType":"timeout"`) {
			t.Errorf("%s: got %d %s, want 503 timeout", r.path, code, body)
		}
	}
	server = serveAPI(t, nil, overBroken(brokenStore{wait: waitForEnd}))
	code, body := call(t, server, http.MethodGet, "/api/v1/query", values("query", "up", "timeout", "20ms"))
	if code != 503 || !strings.Contains(body, `"errorType":"timeout"`) {
		t.Errorf("timeout parameter: got %d %s, want 503 timeout", code, body)
	}
}

func TestQueriesWaitForTheirTurn(t *testing.T) {
	entered := make(chan struct{}, 10)
	leave := make(chan struct{})
	server := serveAPI(t, nil, func(o *api.Options) {
		overBroken(brokenStore{err: errors.New("left"), wait: func(ctx context.Context) error {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
			}
			return nil
		}})(o)
		engine := promql.DefaultConfig()
		engine.MaxConcurrency = 1
		o.Engine, o.Parser = promql.NewEngine(engine, slog.New(slog.DiscardHandler), nil), promql.NewParser()
		o.Config.MaxConcurrency = 1
	})
	first := make(chan int)
	go func() {
		code, _ := call(t, server, http.MethodGet, "/api/v1/query", values("query", "up"))
		first <- code
	}()
	<-entered
	code, body := call(t, server, http.MethodGet, "/api/v1/query", values("query", "up", "timeout", "20ms"))
	if want := `{"status":"error","errorType":"timeout","error":"query timed out in query queue"}`; code != 503 || body != want {
		t.Errorf("second query: got %d %s, want 503 %s", code, body, want)
	}
	close(leave)
	if code := <-first; code != 503 {
		t.Errorf("first query: got %d", code)
	}
	if code, _ := call(t, server, http.MethodGet, "/api/v1/query", values("query", "1")); code != 200 {
		t.Errorf("a query after the others: got %d", code)
	}
}

func TestEngineErrorsAndLimits(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	for _, c := range []struct {
		r    request
		code int
		want string
	}{
		{req("query", "query", "up + on(job) group_left() requests_total"), 422, "found duplicate series"},
		{req("query_range", "query", `sum_over_time({__name__=~".+"}[30m:1s])`, "start", "0", "end", "1800", "step", "1"), 422, "too many samples"},
	} {
		code, body := call(t, server, http.MethodGet, "/api/v1/"+c.r.path, c.r.form)
		if code != c.code || !strings.Contains(body, `"errorType":"execution"`) || !strings.Contains(body, c.want) {
			t.Errorf("%v: got %d %s", c.r.form, code, body)
		}
	}
	m := copied(t, loaded(t, fixture), store.DefaultTenant)
	server = serveAPI(t, nil, func(o *api.Options) {
		overMemory(o, m)
		o.Queryable = adapter.NewQueryable(m, adapter.Limits{MaxSeries: 1})
		o.Config.MaxSeries = 2
	})
	for _, r := range []request{req("query", "query", "up"), req("series", "match[]", `{__name__!=""}`)} {
		code, body := call(t, server, http.MethodGet, "/api/v1/"+r.path, r.form)
		if code != 422 || !strings.Contains(body, `"errorType":"execution"`) || !strings.Contains(body, "series") {
			t.Errorf("%v: got %d %s", r.form, code, body)
		}
	}
}

func TestFaultInAStreamCutsTheConnection(t *testing.T) {
	server := serveAPI(t, failingQueryable{loaded(t, fixture)}, nil)
	set, err := readClient(t, server, responseTypes["chunks"], nil).Read(t.Context(), readQuery(t, 0, 1e6, everything()), true)
	if err != nil {
		return // cut before the header was sent
	}
	for set.Next() {
	}
	if set.Err() == nil {
		t.Error("an incomplete stream looks complete")
	}
}

func TestClientThatLeaves(t *testing.T) {
	entered := make(chan struct{})
	reg := prometheus.NewRegistry()
	server := serveAPI(t, nil, func(o *api.Options) {
		overBroken(brokenStore{wait: func(ctx context.Context) error { close(entered); return waitForEnd(ctx) }})(o)
		o.Registerer = reg
	})
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; leave() }()
	if _, err := server.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	server.Close() // waits for the handler
	want := regexp.MustCompile(`metricstream_api_request_duration_seconds_count\{code="499",handler="query"\} 1`)
	text := &strings.Builder{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(text, f); err != nil {
			t.Fatal(err)
		}
	}
	if !want.MatchString(text.String()) {
		t.Errorf("no 499 in\n%s", text)
	}
}

func TestReadsWaitForTheirTurn(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	reg := prometheus.NewRegistry()
	server := serveAPI(t, nil, func(o *api.Options) {
		overBroken(brokenStore{err: errors.New("left"), wait: func(context.Context) error { close(entered); <-leave; return nil }})(o)
		o.Config.MaxConcurrency = 1
		o.Config.Timeout = 30 * time.Millisecond
		o.Registerer = reg
	})
	first := make(chan struct{})
	go func() {
		defer close(first)
		_, _ = readClient(t, server, nil, nil).Read(t.Context(), readQuery(t, 0, 1, everything()), true)
	}()
	<-entered
	if resp, body := send(t, server, http.MethodGet, "/federate?match[]=up", "", nil); resp.StatusCode != 503 || !strings.Contains(body, "query timed out in query queue") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	close(leave)
	<-first
	want := `
# HELP metricstream_api_limit_hits_total Requests that ended at a limit: those of query.* and of tenants and keys by their names, resolution (more than 11,000 points), queue (too many wait for a turn), concurrency (waited too long for one).
# TYPE metricstream_api_limit_hits_total counter
metricstream_api_limit_hits_total{limit="concurrency"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "metricstream_api_limit_hits_total"); err != nil {
		t.Error(err)
	}
}
