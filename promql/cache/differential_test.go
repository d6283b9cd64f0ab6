package cache_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store"
	"github.com/redis/go-redis/v9"
)

// expressions are of many kinds; some are never remembered.
var expressions = []string{
	`load`, `-load`, `load{job="job1"} > 0`, `abs(load) * 2`, `{__name__=~"load|requests_total", instance="host1"}`,
	`rate(requests_total[5m])`, `sum(rate(requests_total[5m]))`, `sum by (job) (rate(requests_total[2m]))`, `avg without (instance) (load)`,
	`sum(rate(requests_total[5m])) / sum(increase(requests_total[10m]))`, `sum by (job) (load) / on (job) group_left () count by (job) (load)`,
	`histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m])))`, `topk(2, load)`, `bottomk by (job) (1, load)`, `quantile(0.3, load)`,
	`max_over_time(load[17m])`, `stddev_over_time(load[5m])`, `deriv(load[7m])`, `predict_linear(load[10m], 600)`, `absent(load{job="nobody"})`,
	`absent_over_time(load{instance="host3"}[1m])`, `changes(load[5m])`, `resets(requests_total[5m])`, `load offset 20m`, `load offset -3m`,
	`max_over_time(rate(requests_total[2m])[10m:1m])`, `sum_over_time(load[3m:20s] offset 5m)`, `count(count by (job) (load))`,
	`sum(count by (job) (load))`, `timestamp(load)`, `time() - timestamp(load)`, `load and on (job) requests_total > 100`, `load unless load > 0`,
	`load or requests_total`, `label_replace(load, "host", "$1", "instance", "host(.)")`, `sizes`, `rate(sizes[5m])`, `histogram_count(sum(sizes))`,
	`histogram_avg(sizes)`, `sum(sizes)`, `count_values("v", clamp(round(load / 1000), -1, 1))`, `scalar(sum(load))`, `vector(1) + sum(load)`, `stdvar(load)`, `group by (job) (load)`,
	`irate(requests_total[1m]) > bool 0.5`, `avg_over_time(load[5m]) + stddev_over_time(load[5m])`, `load @ %d`, `sum(load) - sum(load @ %d)`,
	// These are evaluated each time.
	`load @ end()`, `topk(1, sum by (job) (load))`, `sum(sum by (job) (load))`, `rate(load[5m])`, `sort(load)`, `load[5m]`, `load or rate(requests_total[1m])`,
	`nothing`, `1 + 1`, `sum(`, `load{instance=~"("}`, `label_replace(load, "instance", "same", "", "")`,
}

// TestTheSameAsWithoutCache asks the same of queriers that remember and of one that does not, while samples come late, come
// again, and are deleted, and Redis goes away and comes back. Every answer is the same, byte by byte.
func TestTheSameAsWithoutCache(t *testing.T) {
	s := openStore(t)
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address, MaxRetries: -1, DisableIdentity: true})
	defer client.Close()
	small := cache.DefaultConfig()
	small.MaxBytes = 100_000 // so that much is forgotten
	uncached := newQuerier(t, setup{store: s})
	queriers := []*querier{newQuerier(t, setup{store: s, redis: client, config: cache.DefaultConfig()}), newQuerier(t, setup{store: s, redis: client, config: small})}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &changing{t: t, store: s, maker: maker{rng: rand.New(rand.NewPCG(seed, 1)), last: map[store.Key]float64{}}, all: seriesOf(store.DefaultTenant)}
	now := time.Now().UnixMilli()
	first := &store.Batch{}
	for _, one := range w.all {
		w.points(first, one, now-9*hourMs, now-minuteMs)
	}
	w.write(first)

	const rounds = 160
	asked := w.questions(now, 20)
	var params url.Values
	for round := range rounds {
		switch round {
		case rounds / 3:
			server.Kill()
		case rounds / 2:
			server.Restart()
		}
		if w.rng.IntN(10) == 0 {
			w.change(now)
			for _, q := range queriers {
				q.cache.ForgetChanges()
			}
		}
		if params == nil || w.rng.IntN(4) > 0 { // else the same again
			params = asked[w.rng.IntN(len(asked))].params(w.rng, now)
		}
		code, want := uncached.ask(t.Context(), "/api/v1/query_range", params)
		at := w.rng.IntN(2)
		if gotCode, got := queriers[at].ask(t.Context(), "/api/v1/query_range", params); got != want || gotCode != code {
			_, why := queriers[at].ask(t.Context(), "/api/v1/query_range", params, "Cache-Control", "no-store")
			t.Fatalf("round %d, querier %d: %s\n%d %s\nwant %d %s\nwithout the cache now: %v", round, at, params.Encode(), gotCode, around(got, want), code, around(want, got), why == want)
		}
	}
	for _, name := range []string{"hit", "partial", "miss", "bypass"} {
		if queriers[0].count(t, "range_queries_total", name)+queriers[1].count(t, "range_queries_total", name) == 0 {
			t.Errorf("no query was a %s", name)
		}
	}
	for _, name := range []string{"memory", "redis", "invalidated", "absent"} {
		n := queriers[0].count(t, "blocks_total", name) + queriers[1].count(t, "blocks_total", name)
		t.Logf("blocks %s: %v", name, n)
		if n == 0 {
			t.Errorf("no block was %s", name)
		}
	}
	for _, name := range []string{"hit", "partial", "miss", "bypass"} {
		t.Logf("queries %s: %v", name, queriers[0].count(t, "range_queries_total", name)+queriers[1].count(t, "range_queries_total", name))
	}
	if queriers[0].count(t, "redis_errors_total", "")+queriers[1].count(t, "redis_errors_total", "") == 0 {
		t.Error("nobody noticed that Redis was away")
	}
	if queriers[1].count(t, "evictions_total", "") == 0 {
		t.Error("nothing was forgotten for want of memory")
	}
}

// around returns what of a text is about where it differs from another.
func around(text, other string) string {
	i := 0
	for i < len(text) && i < len(other) && text[i] == other[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, ... %s ...", len(text), text[max(0, i-200):min(len(text), i+200)])
}

// question is asked again and again of other ranges.
type question struct {
	query         string
	stepMs, phase int64
	widthMs       int64
}

// params returns the question about a range that ends in the last hour or, at times, earlier.
func (q question) params(rng *rand.Rand, nowMs int64) url.Values {
	end := nowMs - rng.Int64N(40*minuteMs)
	if rng.IntN(5) == 0 {
		end -= rng.Int64N(4 * hourMs)
	}
	end -= end % q.stepMs
	start := end - q.widthMs
	start = start - start%q.stepMs + q.phase
	return rangeParams(q.query, start, end, q.stepMs)
}

// changing is a store whose content changes.
type changing struct {
	maker
	t     *testing.T
	store *tables
	all   []store.Series
	last  *store.Batch
}

func (w *changing) questions(nowMs int64, n int) []question {
	var out []question
	steps := []int64{15_000, 15_000, 30_000, 60_000, 7_000, 300_000, 61_500}
	chosen := []string{`load`, `sum(rate(requests_total[5m]))`, `topk(1, sum by (job) (load))`}
	for _, i := range w.rng.Perm(len(expressions))[:n] {
		chosen = append(chosen, expressions[i])
	}
	for _, query := range chosen {
		if strings.Contains(query, "%d") {
			query = fmt.Sprintf(query, (nowMs-w.rng.Int64N(6*hourMs))/1000)
		}
		q := question{query: query, stepMs: steps[w.rng.IntN(len(steps))], widthMs: 10*minuteMs + w.rng.Int64N(7*hourMs)}
		if w.rng.IntN(3) == 0 {
			q.phase = w.rng.Int64N(q.stepMs)
		}
		out = append(out, q)
	}
	return out
}

func (w *changing) write(b *store.Batch) {
	w.t.Helper()
	if err := w.store.Write(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
	w.last = b
}

// change changes something of the last hours.
func (w *changing) change(nowMs int64) {
	w.t.Helper()
	b := &store.Batch{}
	one := w.all[w.rng.IntN(len(w.all))]
	at := nowMs - 6*minuteMs - w.rng.Int64N(8*hourMs)
	switch w.rng.IntN(5) {
	case 0: // again
		w.write(w.last)
	case 1: // a few late ones
		one.MinMs, one.MaxMs = at, at
		b.Series = append(b.Series, one)
		for range 3 {
			w.point(b, one, at+w.rng.Int64N(minuteMs))
		}
		w.write(b)
	case 2: // an outage that ends
		w.points(b, one, at, min(at+30*minuteMs, nowMs))
		w.write(b)
	case 3: // new ones, which are not late
		w.points(b, one, nowMs-3*minuteMs, nowMs)
		w.write(b)
	case 4: // some are deleted
		statement := fmt.Sprintf("ALTER TABLE samples DELETE WHERE id = %d AND ts BETWEEN %d AND %d SETTINGS mutations_sync = 1", one.Key.ID, at, at+5*minuteMs)
		if err := w.store.conn.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatal(err)
		}
		change := store.Change{Metric: one.Key.Metric, FromHour: store.ChangeHour(at), ToHour: store.ChangeHour(at + 5*minuteMs)}
		if err := w.store.WriteChanges(w.t.Context(), []store.Change{change}); err != nil {
			w.t.Fatal(err)
		}
	}
}
