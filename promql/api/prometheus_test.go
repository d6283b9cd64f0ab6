package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	promapi "github.com/prometheus/prometheus/web/api/v1"

	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
)

// servePrometheus starts a server of Prometheus' own API over a storage. It is the judge of ours.
func servePrometheus(t testing.TB, q *teststorage.TestStorage) *httptest.Server {
	t.Helper()
	a := promapi.NewAPI(newEngine(t), q, nil, q,
		func(context.Context) promapi.ScrapePoolsRetriever { return nothing{} },
		func(context.Context) promapi.TargetRetriever { return nothing{} },
		func(context.Context) promapi.AlertmanagerRetriever { return nil },
		func() config.Config { return config.Config{} }, map[string]string{}, promapi.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, promslog.NewNopLogger(),
		func(context.Context) promapi.RulesRetriever { return nothing{} },
		5e7, 10, 1<<20, false, regexp.MustCompile("^(?:.*)$"), nil, &promapi.PrometheusVersion{}, nil, nil,
		prometheus.NewRegistry(), nil, nil, false, nil, false, false, false, 5*time.Minute, false, false, nil, nil,
		promapi.OpenAPIOptions{}, parser.NewParser(parserOptions), false, 0)
	router := route.New().WithPrefix("/api/v1")
	a.Register(router)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server
}

// nothing has no targets and no rules.
type nothing struct{}

func (nothing) ScrapePools() []string                                 { return nil }
func (nothing) TargetsActive() map[string][]*scrape.Target            { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target           { return nil }
func (nothing) TargetsDroppedCounts() map[string]int                  { return map[string]int{} }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) { return nil, nil }
func (nothing) RuleGroups() []*rules.Group                            { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule                  { return nil }

// copied returns a memory store with everything that a storage holds, for a tenant.
func copied(t testing.TB, from storage.Queryable, tenant string) *memory.Store {
	t.Helper()
	m := memory.New()
	copyInto(t, m, from, tenant)
	return m
}

// copyInto writes all series of a Queryable as a tenant's.
func copyInto(t testing.TB, m *memory.Store, from storage.Queryable, tenant string) {
	t.Helper()
	q, err := from.Querier(-1<<60, 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var b store.Batch
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchNotEqual, "__name__", ""))
	for set.Next() {
		copySeries(t, &b, set.At(), tenant)
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

func copySeries(t testing.TB, b *store.Batch, s storage.Series, tenant string) {
	ls := s.Labels()
	entry := store.Series{Tenant: tenant, Key: store.KeyOf(tenant, ls), Labels: ls, MinMs: 1 << 60}
	var decimals uint8
	it := s.Iterator(nil)
	for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
		ms := it.AtT()
		entry.MinMs, entry.MaxMs = min(entry.MinMs, ms), max(entry.MaxMs, ms)
		switch v {
		case chunkenc.ValFloat:
			_, f := it.At()
			var d store.Decimal
			d, decimals = store.DecimalOf(f, decimals)
			b.Samples.Append(entry.Key, ms, d)
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			b.Histograms = append(b.Histograms, store.Histogram{Key: entry.Key, TimeMs: ms, Count: float64(h.Count), Sum: h.Sum, Blob: store.AppendHistogram(nil, h)})
		case chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			b.Histograms = append(b.Histograms, store.Histogram{Key: entry.Key, TimeMs: ms, Count: h.Count, Sum: h.Sum, Blob: store.AppendFloatHistogram(nil, h)})
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	b.Series = append(b.Series, entry)
}

// overMemory makes the options read from a memory store through the adapter.
func overMemory(o *api.Options, m *memory.Store) {
	o.Queryable = adapter.NewQueryable(m, adapter.Limits{})
	o.Reader, o.ExemplarReader, o.MetadataReader = m, m, m
}
