package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// slow is an engine that takes its time and counts.
type slow struct {
	prom.QueryEngine
	takes time.Duration
	fails atomic.Bool
	count atomic.Int64
	turns *promql.Turns // nil for none

	vector prom.Vector // the answer; nil is the number of the evaluation
}

func (e *slow) NewInstantQuery(_ context.Context, _ storage.Queryable, _ prom.QueryOpts, text string, at time.Time) (prom.Query, error) {
	return &slowQuery{engine: e, at: at}, nil
}

type slowQuery struct {
	prom.Query
	engine *slow
	at     time.Time
}

func (q *slowQuery) Plan() *plan.Plan { return &plan.Plan{} }

func (q *slowQuery) Exec(ctx context.Context) *prom.Result {
	if q.engine.turns != nil {
		leave, err := q.engine.turns.Take(ctx)
		if err != nil {
			return &prom.Result{Err: err}
		}
		defer leave()
	}
	n := q.engine.count.Add(1)
	select {
	case <-time.After(q.engine.takes):
	case <-ctx.Done():
		return &prom.Result{Err: ctx.Err()}
	}
	if q.engine.fails.Load() {
		return &prom.Result{Err: errors.New("out of order")}
	}
	if q.engine.vector != nil {
		return &prom.Result{Value: q.engine.vector}
	}
	return &prom.Result{Value: prom.Vector{{Metric: labels.FromStrings("n", fmt.Sprint(n)), T: q.at.UnixMilli(), F: 1}}}
}

func (q *slowQuery) Close() {}

func hotOver(e *slow) *cache.Engine {
	return cache.New(cache.Options{Config: cache.DefaultConfig(), Query: promql.DefaultConfig(), Engine: e})
}

func instant(ctx context.Context, e *cache.Engine, text string, at time.Time) *prom.Result {
	q, err := e.NewInstantQuery(ctx, nil, nil, text, at)
	if err != nil {
		return &prom.Result{Err: err}
	}
	defer q.Close()
	return q.Exec(ctx)
}

// TestOneEvaluationForAll has many ask for the same at once, and within a second.
func TestOneEvaluationForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &slow{takes: 300 * time.Millisecond}
		e := hotOver(engine)
		newest := promql.WithNewest(t.Context())
		var asking sync.WaitGroup
		for i := range 50 {
			asking.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				if r := instant(newest, e, "up", time.Now()); r.Err != nil || len(r.Value.(prom.Vector)) != 1 {
					t.Errorf("%v", r)
				}
			})
		}
		asking.Wait()
		if n := engine.count.Load(); n != 1 {
			t.Errorf("%d evaluations", n)
		}
		time.Sleep(time.Second)
		instant(newest, e, "up", time.Now())
		if n := engine.count.Load(); n != 2 {
			t.Errorf("%d evaluations after a second", n)
		}
	})
}

// TestWhoSharesNot asks what looks the same and is not.
func TestWhoSharesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &slow{takes: time.Millisecond}
		e := hotOver(engine)
		at := time.Now()
		matched := tenant.WithMatchers(t.Context(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")})
		for i, ask := range []func(){
			func() { instant(t.Context(), e, "up", at) },
			func() { instant(t.Context(), e, "up", at.Add(time.Millisecond)) },
			func() { instant(t.Context(), e, "down", at) },
			func() { instant(promql.WithNewest(t.Context()), e, "up", at) },
			func() { instant(matched, e, "up", at) },
			func() { instant(tenant.NewContext(t.Context(), "other"), e, "up", at) },
			func() { instant(plan.WithResolution(t.Context(), plan.OnlyRaw), e, "up", at) },
			func() { instant(store.WithFresh(t.Context()), e, "up", at) },
			func() { instant(promql.WithNoStore(t.Context()), e, "up", at) },
		} {
			ask()
			if n := engine.count.Load(); n != int64(i+1) {
				t.Fatalf("%d: %d evaluations", i, n)
			}
		}
		instant(t.Context(), e, "up", at)
		if n := engine.count.Load(); n != 9 {
			t.Errorf("%d evaluations in the end", n)
		}
	})
}

// TestFailuresAreNotShared has an evaluation fail, or its asker go away, while others wait for it.
func TestFailuresAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &slow{takes: 100 * time.Millisecond}
		e := hotOver(engine)
		at := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		go instant(ctx, e, "up", at)
		time.Sleep(10 * time.Millisecond)
		time.AfterFunc(10*time.Millisecond, cancel)
		if r := instant(t.Context(), e, "up", at); r.Err != nil {
			t.Errorf("the first asker's end ended another: %v", r.Err)
		}
		engine.fails.Store(true)
		instant(t.Context(), e, "down", at)
		engine.fails.Store(false)
		if r := instant(t.Context(), e, "down", at); r.Err != nil {
			t.Errorf("an error was remembered: %v", r.Err)
		}
	})
}

// TestNobodyWaitsInAnothersQueue: a key that has all its turns has others neither wait for it nor evaluate twice.
func TestNobodyWaitsInAnothersQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &slow{takes: 10 * time.Second, turns: promql.NewTurns(promql.DefaultConfig(), nil)}
		e := hotOver(engine)
		newest := promql.WithNewest(t.Context())
		busy := limits.NewContext(newest, limits.Grant{Key: "busy", KeyLimits: limits.Limits{ConcurrentQueries: 1}})
		var asking sync.WaitGroup
		asking.Go(func() { instant(busy, e, "something else", time.Now()) })
		synctest.Wait()
		engine.takes = 100 * time.Millisecond
		asking.Go(func() { instant(busy, e, "up", time.Now()) })
		synctest.Wait()
		begin := time.Now()
		for range 10 {
			asking.Go(func() {
				if r := instant(newest, e, "up", time.Now()); r.Err != nil {
					t.Error(r.Err)
				}
				if took := time.Since(begin); took != 100*time.Millisecond {
					t.Errorf("an answer came after %v", took)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		instant(busy, e, "up", time.Now())
		if took, n := time.Since(begin), engine.count.Load(); took != 500*time.Millisecond || n != 2 {
			t.Errorf("an answer that was there came after %v and %d evaluations", took, n)
		}
		asking.Wait()
	})
}

// TestForgottenUnderWay: what is forgotten while it is evaluated is not kept afterwards.
func TestForgottenUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &slow{takes: 100 * time.Millisecond}
		e := hotOver(engine)
		at := time.Now()
		time.AfterFunc(50*time.Millisecond, func() { _ = e.Forget(t.Context(), store.DefaultTenant) })
		instant(t.Context(), e, "up", at)
		instant(t.Context(), e, "up", at)
		if n := engine.count.Load(); n != 2 {
			t.Errorf("%d evaluations", n)
		}
	})
}
