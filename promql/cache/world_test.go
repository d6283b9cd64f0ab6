package cache_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	library "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/metricstream/metricstream/tenant/federation"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
)

// tables are a store, and a connection for statements of the test's own.
type tables struct {
	*clickhouse.Store
	conn driver.Conn
}

// openStore opens a new database of the engine that the tests share.
func openStore(t testing.TB) *tables {
	t.Helper()
	return openStoreAt(t, testenv.StartEngine(t))
}

func openStoreAt(t testing.TB, dsn string) *tables {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/cache_%d", time.Now().UnixNano())
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o, err := library.ParseDSN(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := library.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &tables{s, conn}
}

// querier is the HTTP API over a store, with or without what is under test.
type querier struct {
	mux      *http.ServeMux
	cache    *cache.Engine // nil without
	registry *prometheus.Registry
}

type setup struct {
	store   *tables
	changes store.ChangeReader // the store where nil
	redis   redis.Cmdable
	config  cache.Config
	now     func() time.Time
	build   string

	// remember is whether what the tiers cover is remembered for some seconds, as it is in the program.
	remember bool
}

func newQuerier(t testing.TB, s setup) *querier {
	t.Helper()
	q := &querier{mux: http.NewServeMux(), registry: prometheus.NewRegistry()}
	raw := access.New(s.store)
	var rollups rollup.Reader = access.NewRollups(s.store)
	if s.remember {
		rollups = tiered.Remember(rollups, nil)
	}
	evaluator := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: rollups})
	t.Cleanup(func() { _ = evaluator.Close() })
	var engine prom.QueryEngine = evaluator
	if s.config.MaxBytes > 0 {
		if s.changes == nil {
			s.changes = s.store
		}
		q.cache = cache.New(cache.Options{
			Config: s.config, Query: promql.DefaultConfig(), Engine: evaluator, Changes: s.changes, Redis: s.redis, Build: s.build,
			RawFrom: func(ctx context.Context, tenant string) (int64, error) {
				c, err := rollups.Coverage(ctx, tenant)
				if err != nil || len(c[rollup.Raw]) == 0 {
					return 0, err
				}
				return c[rollup.Raw][0].FromMs, nil
			},
			Now: s.now, Registerer: q.registry,
		})
		engine = q.cache
	}
	a, err := api.New(api.Options{
		Config: promql.DefaultConfig(), Engine: engine, Parser: promql.NewParser(), Reader: raw,
		Queryable: adapter.NewTieredQueryable(federation.New(raw), federation.NewTiers(rollup.NewStitch(rollups, raw)), adapter.Limits{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Register(q.mux, "")
	return q
}

// ask returns the status and the body of an answer.
func (q *querier) ask(ctx context.Context, path string, params url.Values, headers ...string) (int, string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path+"?"+params.Encode(), nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	q.mux.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// count returns the value of a counter with a label.
func (q *querier) count(t testing.TB, name, value string) float64 {
	t.Helper()
	families, err := q.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "metricstream_query_cache_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == value {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s of %q", name, value)
	return 0
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) }

func rangeParams(query string, startMs, endMs, stepMs int64) url.Values {
	return url.Values{"query": {query}, "start": {seconds(startMs)}, "end": {seconds(endMs)}, "step": {seconds(stepMs)}}
}

// maker makes points.
type maker struct {
	rng  *rand.Rand
	last map[store.Key]float64
}

// seriesOf are counters, gauges and histograms of three jobs.
func seriesOf(tenant string) []store.Series {
	var out []store.Series
	add := func(name string, has store.Has, pairs ...string) {
		ls := labels.FromStrings(append([]string{labels.MetricName, name}, pairs...)...)
		out = append(out, store.Series{Tenant: tenant, Key: store.KeyOf(tenant, ls), Labels: ls, Has: has})
	}
	for i := range 4 {
		job, instance := fmt.Sprint("job", i%3), fmt.Sprint("host", i)
		add("requests_total", 0, "job", job, "instance", instance)
		add("load", 0, "job", job, "instance", instance)
		add("latency_bucket", 0, "job", job, "instance", instance, "le", "0.5")
		add("latency_bucket", 0, "job", job, "instance", instance, "le", "+Inf")
	}
	add("sizes", store.HasHistograms, "job", "job0", "instance", "host0")
	add("sizes", store.HasHistograms, "job", "job1", "instance", "host1")
	return out
}

// points adds points of a series, every 15 seconds with holes.
func (m *maker) points(b *store.Batch, s store.Series, fromMs, toMs int64) {
	s.MinMs, s.MaxMs = fromMs, toMs
	b.Series = append(b.Series, s)
	for at := fromMs; at <= toMs; at += 15_000 {
		if m.rng.IntN(50) == 0 {
			at += m.rng.Int64N(10 * minuteMs) // a hole
		}
		m.point(b, s, at+m.rng.Int64N(3))
	}
}

func (m *maker) point(b *store.Batch, s store.Series, atMs int64) {
	name := s.Labels.Get(labels.MetricName)
	if s.Has != 0 {
		h := &histogram.FloatHistogram{
			Count: float64(5 + m.rng.IntN(3)), Sum: m.rng.Float64() * 100, ZeroThreshold: 0.01, ZeroCount: 1,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{1, 2 + m.rng.Float64()},
			CounterResetHint: histogram.GaugeType,
		}
		b.Histograms = append(b.Histograms, store.Histogram{Key: s.Key, TimeMs: atMs, Count: h.Count, Sum: h.Sum, Blob: store.AppendFloatHistogram(nil, h)})
		return
	}
	v := m.rng.NormFloat64() * 1e3
	if strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket") {
		v = m.last[s.Key] + float64(m.rng.IntN(20))
		if m.rng.IntN(200) == 0 {
			v = 0
		}
		m.last[s.Key] = v
	}
	switch m.rng.IntN(150) {
	case 0:
		v = math.NaN()
	case 1:
		v = math.Float64frombits(value.StaleNaN)
	case 2:
		v = math.Copysign(0, -1)
	case 3:
		v = math.Inf(1)
	}
	d, _ := store.DecimalOf(v, 0)
	b.Samples.Append(s.Key, atMs, d)
}
