package cache_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/redis/go-redis/v9"
)

// queriers are two that share a Redis, over one engine that counts.
type queriers struct {
	t      *testing.T
	engine *slow
	both   [2]*cache.Engine
	client *redis.Client
	later  time.Duration // what their clock is ahead by
	asked  int
}

func newQueriers(t *testing.T, server *testenv.Redis) *queriers {
	q := &queriers{t: t, engine: &slow{}}
	q.client = redis.NewClient(&redis.Options{Addr: server.Address, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { q.client.Close() })
	for i := range q.both {
		q.both[i] = cache.New(cache.Options{
			Config: cache.DefaultConfig(), Query: promql.DefaultConfig(), Engine: q.engine, Redis: q.client,
			Now: func() time.Time { return time.Now().Add(q.later) },
		})
	}
	return q
}

// evaluations asks the first one and then the second one for something new, and returns how often it was evaluated and
// what the second one answered.
func (q *queriers) evaluations(first, second context.Context, at time.Time) (int64, prom.Vector) {
	q.t.Helper()
	q.asked++
	before, text := q.engine.count.Load(), fmt.Sprint("up", q.asked)
	want := instant(first, q.both[0], text, at)
	got := instant(second, q.both[1], text, at)
	if want.Err != nil || got.Err != nil {
		q.t.Fatal(want.Err, got.Err)
	}
	return q.engine.count.Load() - before, got.Value.(prom.Vector)
}

// shares asks until the second one has the first one's answer: on a busy machine more than a second may be between.
func (q *queriers) shares(when string, ctx context.Context) prom.Vector {
	q.t.Helper()
	for range 50 {
		if n, v := q.evaluations(ctx, ctx, time.Now().Add(q.later)); n == 1 {
			return v
		}
	}
	q.t.Errorf("%s: nothing is shared", when)
	return nil
}

// TestOneEvaluationForAllQueriers shares answers through a real Redis, which is killed and comes back.
func TestOneEvaluationForAllQueriers(t *testing.T) {
	server := testenv.StartRedis(t)
	q := newQueriers(t, server)
	newest := promql.WithNewest(t.Context())
	at := time.Now().UnixMilli()
	for name, v := range map[string]prom.Vector{
		"nothing": {},
		"values in an order": {
			{Metric: labels.FromStrings("a", "z"), T: at, F: math.NaN()},
			{Metric: labels.FromStrings("a", "b", "c", ""), T: at, F: math.Copysign(0, -1)},
			{Metric: labels.EmptyLabels(), T: at, F: math.Inf(1)},
			{Metric: labels.FromStrings("h", "1"), T: at, H: &histogram.FloatHistogram{
				Schema: 1, Count: 3, Sum: 1.5, PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}}, PositiveBuckets: []float64{1, 2},
			}},
		},
	} {
		q.engine.vector = v
		if d := cmp.Diff(v, q.shares(name, newest), cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), cmp.Comparer(labels.Equal)); d != "" {
			t.Errorf("%s: the other one's answer is another:\n%s", name, d)
		}
	}
	q.engine.vector = nil
	q.shares("a time that is about now", t.Context())

	many := make(prom.Vector, 2000)
	for i := range many {
		many[i] = prom.Sample{Metric: labels.FromStrings("i", fmt.Sprint(i)), T: at}
	}
	now := time.Now()
	for name, ask := range map[string]func() (int64, prom.Vector){
		"a strong read":   func() (int64, prom.Vector) { return q.evaluations(newest, store.WithFresh(newest), now) },
		"no-store":        func() (int64, prom.Vector) { return q.evaluations(newest, promql.WithNoStore(newest), now) },
		"of one":          func() (int64, prom.Vector) { return q.evaluations(store.WithFresh(newest), newest, now) },
		"another tenant":  func() (int64, prom.Vector) { return q.evaluations(newest, tenant.NewContext(newest, "other"), now) },
		"a time long ago": func() (int64, prom.Vector) { return q.evaluations(t.Context(), t.Context(), now.Add(-time.Minute)) },
		"a large one": func() (int64, prom.Vector) {
			q.engine.vector = many
			defer func() { q.engine.vector = nil }()
			return q.evaluations(newest, newest, now)
		},
	} {
		if n, _ := ask(); n != 2 {
			t.Errorf("%s: %d evaluations", name, n)
		}
	}

	// A second later it is evaluated anew, also by whoever has it from the other one.
	q.shares("before a second is over", newest)
	time.Sleep(time.Second)
	before := q.engine.count.Load()
	instant(newest, q.both[1], fmt.Sprint("up", q.asked), time.Now())
	if n := q.engine.count.Load() - before; n != 1 {
		t.Errorf("%d evaluations after a second", n)
	}

	server.Kill()
	if n, _ := q.evaluations(newest, newest, time.Now()); n != 2 {
		t.Errorf("%d evaluations without Redis", n)
	}
	server.Restart()
	for q.client.Ping(t.Context()).Err() != nil {
		time.Sleep(20 * time.Millisecond)
	}
	q.later += 6 * time.Second // it is left alone for five
	q.shares("when Redis is back", newest)
}

// TestDamagedAnswer: what is not an answer to the question is evaluated.
func TestDamagedAnswer(t *testing.T) {
	q := newQueriers(t, testenv.StartRedis(t))
	newest := promql.WithNewest(t.Context())
	keys := func() []string { return q.client.Keys(t.Context(), "metricstream:answers:anonymous:*:hot").Val() }
	for _, damage := range []func(key, value string) string{
		func(string, string) string { return "" },
		func(_, v string) string { return v[:len(v)/2] },
		func(_, v string) string { return v[:len(v)-1] + string(v[len(v)-1]^1) },
		func(key, _ string) string { // that to another question
			instant(newest, q.both[0], "another", time.Now())
			for _, k := range keys() {
				if k != key {
					return q.client.Get(t.Context(), k).Val()
				}
			}
			return ""
		},
	} {
		q.asked++
		text := fmt.Sprint("up", q.asked)
		q.client.FlushAll(t.Context())
		instant(newest, q.both[0], text, time.Now())
		all := keys()
		if len(all) != 1 || strings.Contains(all[0], text) {
			t.Fatalf("the keys are %q", all)
		}
		q.client.Set(t.Context(), all[0], damage(all[0], q.client.Get(t.Context(), all[0]).Val()), 0)
		before := q.engine.count.Load()
		if r := instant(newest, q.both[1], text, time.Now()); r.Err != nil || q.engine.count.Load() != before+1 {
			t.Errorf("%v after %d evaluations", r, q.engine.count.Load()-before)
		}
	}
}
