package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/metricstream/metricstream/internal/testenv"
)

// spanCollector takes spans by OTLP over HTTP, as Jaeger does.
type spanCollector struct {
	endpoint string

	mu    sync.Mutex
	spans map[string][]span // by trace
}

type span struct {
	*otlp.Span
	service string
}

func startCollector(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{spans: map[string][]span{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		c.add(&request)
	}))
	t.Cleanup(server.Close)
	c.endpoint = strings.TrimPrefix(server.URL, "http://")
	return c
}

func (c *spanCollector) add(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				id := fmt.Sprintf("%x", s.TraceId)
				c.spans[id] = append(c.spans[id], span{s, service})
			}
		}
	}
}

// tree returns the spans of a trace by their paths, such as "request/plan".
func (c *spanCollector) tree(trace string) map[string]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	byID := map[string]span{}
	for _, s := range c.spans[trace] {
		byID[string(s.SpanId)] = s
	}
	tree := map[string]span{}
	for _, s := range c.spans[trace] {
		path := s.Name
		for parent, ok := byID[string(s.ParentSpanId)]; ok; parent, ok = byID[string(parent.ParentSpanId)] {
			path = parent.Name + " > " + path
		}
		tree[path] = s
	}
	return tree
}

// attributes are those of a span that the wanted text names, in its order.
func (s span) attributes(names ...string) string {
	var all []string
	for _, name := range names {
		value := "none"
		for _, a := range s.Attributes {
			if a.Key == name {
				value = strings.Trim(strings.SplitN(a.Value.String(), ":", 2)[1], `"`)
			}
		}
		all = append(all, name+"="+value)
	}
	return strings.Join(all, " ")
}

// configure writes a configuration in which every request is traced and every query is slow.
func (c *spanCollector) configure(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	text := fmt.Sprintf("tracing: {endpoint: %q, insecure: true, sample_ratio: 1}\nquery: {slow_log: 1ns}\n", c.endpoint)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "--config.file=" + file
}

// checkWrite writes, and waits for the trace of it: the answer says which one it is.
func (c *spanCollector) checkWrite(t *testing.T, receiver *node, nowMs int64, services ...string) {
	t.Helper()
	code, header := writeSamples(receiver.url, "team-a", nowMs, 1, 3, map[string]string{"__name__": "traced_total"})
	id := header.Get("X-Correlation-ID")
	if code != http.StatusNoContent || len(id) != 32 {
		t.Fatalf("write answered %d with the id %q", code, id)
	}
	want := map[string]string{
		"POST /api/v1/write":                                            services[0] + " http.response.status_code=204 tenant=team-a samples=3",
		"POST /api/v1/write > decode":                                   services[0],
		"POST /api/v1/write > produce":                                  services[0] + " samples=3",
		"POST /api/v1/write > produce > flush":                          services[1] + " correlation_id=" + id,
		"POST /api/v1/write > produce > flush > insert series":          services[1] + " rows=3",
		"POST /api/v1/write > produce > flush > insert samples":         services[1] + " rows=3",
		"POST /api/v1/write > produce > flush > insert ingest_progress": services[1],
	}
	c.await(t, id, want)
	if flush := c.tree(id)["POST /api/v1/write > produce > flush"]; len(flush.Links) == 0 || string(flush.Links[0].TraceId) != string(flush.TraceId) {
		t.Errorf("the flush names %d requests", len(flush.Links))
	}
}

// await waits until a trace has spans with the service and the attributes that are wanted of each.
func (c *spanCollector) await(t *testing.T, trace string, want map[string]string) {
	t.Helper()
	eventually(t, 30*time.Second, "the spans of the trace "+trace, func() error {
		tree := c.tree(trace)
		for path, text := range want {
			got, ok := tree[path]
			if !ok {
				return fmt.Errorf("there is no span %q among %q", path, paths(tree))
			}
			service, pairs, _ := strings.Cut(text, " ")
			var names []string
			for _, pair := range strings.Fields(pairs) {
				name, _, _ := strings.Cut(pair, "=")
				names = append(names, name)
			}
			if is := got.attributes(names...); got.service != service || is != pairs {
				return fmt.Errorf("%s: %s %s, want %s", path, got.service, is, text)
			}
		}
		return nil
	})
}

func paths(tree map[string]span) []string {
	var all []string
	for path := range tree {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

// checkQuery asks in a trace of the client's, with an id of its own.
func (c *spanCollector) checkQuery(t *testing.T, querier *node, nowMs int64, service string) {
	t.Helper()
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	ask := func(id, parent, query string) (http.Header, string) {
		r, err := http.NewRequest("GET", querier.url+"/api/v1/query?query="+query+"&time="+seconds(float64(nowMs)/1000), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Scope-OrgID", "team-a")
		r.Header.Set("X-Correlation-ID", id)
		if parent != "" {
			r.Header.Set("traceparent", "00-"+trace+"-"+parent+"-01")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.Header, string(body)
	}
	eventually(t, time.Minute, "the samples", func() error {
		if _, body := ask("before", "", "count(traced_total)"); !strings.Contains(body, `"3"`) {
			return fmt.Errorf("got %s", body)
		}
		return nil
	})
	if header, _ := ask("dashboard-17", parent, "sum(traced_total)"); header.Get("X-Correlation-ID") != "dashboard-17" {
		t.Errorf("the answer has the id %q", header.Get("X-Correlation-ID"))
	}
	root := "GET /api/v1/query"
	c.await(t, trace, map[string]string{
		root:                service + " http.route=/api/v1/query tenant=team-a http.response.status_code=200 correlation_id=dashboard-17",
		root + " > plan":    service,
		root + " > execute": service + " query=sum(traced_total) tiers=raw rows=3 series=1",
		root + " > encode":  service,
	})
	tree := c.tree(trace)
	if got := fmt.Sprintf("%x", tree[root].ParentSpanId); got != parent {
		t.Errorf("the query is below %s, not below the client's %s", got, parent)
	}
	// Between these the stages of the PromQL engine have spans of their own.
	found := 0
	for path, s := range tree {
		if strings.HasPrefix(path, root+" > execute > ") && strings.HasSuffix(path, " > select > select samples") && s.attributes("rows") == "rows=3" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("no statement below a selector below the evaluation: %q", paths(tree))
	}
	lines, err := os.ReadFile(querier.Log)
	if err != nil || !strings.Contains(string(lines), "slow query") || !strings.Contains(string(lines), "correlation_id=dashboard-17 trace_id="+trace) {
		t.Errorf("the slow query is not in the log with its id: %v", err)
	}
}

// TestTraces follows a write and a query through one process.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	n := start(t, "all", t.TempDir(), c.configure(t))
	now := time.Now().UnixMilli()
	c.checkWrite(t, n, now, "metricstream-all", "metricstream-all")
	c.checkQuery(t, n, now, "metricstream-all")
}

// TestTracesOverKafka follows them through three: the trace goes on in the headers of Kafka's records.
func TestTracesOverKafka(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	kafka := testenv.StartKafka(t)
	shared := []string{c.configure(t), "--kafka.brokers=" + kafka.Address, "--kafka.topic=traces", "--clickhouse.dsn=" + clickhouse(t)}
	receiver := start(t, "receiver", t.TempDir(), shared...)
	start(t, "consumer", t.TempDir(), shared...)
	querier := start(t, "querier", t.TempDir(), shared...)
	now := time.Now().UnixMilli()
	c.checkWrite(t, receiver, now, "metricstream-receiver", "metricstream-consumer")
	c.checkQuery(t, querier, now, "metricstream-querier")
}
