package promql

import (
	"context"
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"

	"github.com/metricstream/metricstream/promql/fair"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Turns are what the reads of a process wait for before they read: evaluations of the engine, and whatever else takes
// one. Whose a turn is and how many he may have comes from the context, see [limits.NewContext].
type Turns struct {
	queue *fair.Queue
	most  int
}

// NewTurns returns the turns of a configuration that is valid. A nil registerer is none.
func NewTurns(cfg Config, reg prometheus.Registerer) *Turns {
	return &Turns{
		queue: fair.New(fair.Options{Slots: cfg.MaxConcurrency, MaxWaiting: cfg.MaxWaiting, Registerer: reg}),
		most:  cfg.MaxConcurrency,
	}
}

// Take waits for a turn; leave ends it. The error is a [*fair.FullError], or where the context ended before, a
// promql.ErrQueryTimeout or promql.ErrQueryCanceled.
func (t *Turns) Take(ctx context.Context) (leave func(), err error) {
	leave, err = t.queue.Enter(ctx, claimOf(ctx))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, prom.ErrQueryTimeout("query queue")
	case errors.Is(err, context.Canceled):
		return nil, prom.ErrQueryCanceled("query queue")
	}
	return leave, err
}

// claimOf returns whose the turn of a read is. One of several tenants counts for each of them, and waits in the name of
// the tenant that the key belongs to, or else of the first: as a tenant of its own it would have a turn for each way to
// name them.
func claimOf(ctx context.Context) fair.Claim {
	g, id := limits.FromContext(ctx), tenant.FromContext(ctx)
	c := fair.Claim{Tenant: id, Key: g.Key, KeyMost: g.KeyLimits.ConcurrentQueries}
	if len(g.Each) == 0 {
		c.Of = []fair.Count{{Tenant: id, Most: g.Limits.ConcurrentQueries}}
		return c
	}
	if c.Tenant = g.Home; c.Tenant == "" {
		c.Tenant = g.Each[0].Tenant
	}
	for _, one := range g.Each {
		c.Of = append(c.Of, fair.Count{Tenant: one.Tenant, Most: one.Limits.ConcurrentQueries})
	}
	return c
}

// Line names whose turn a read takes, as far as its tenants do not: reads of others may have theirs long before.
func Line(ctx context.Context) string {
	c := claimOf(ctx)
	return c.Tenant + "/" + c.Key
}

type parsingKey struct{}

// parsing returns a context in which the engine only takes in an expression that is parsed already, which needs no
// turn.
func parsing(ctx context.Context) context.Context { return context.WithValue(ctx, parsingKey{}, true) }

// tracker is turns as the engine takes them: by numbers. The engine takes one when it parses a query and one when it
// evaluates it; only the second wait is within the engine's timeout.
type tracker struct {
	turns *Turns

	mu    sync.Mutex
	last  int
	taken map[int]func()
}

func (t *tracker) GetMaxConcurrent() int { return t.turns.most }

// Insert implements promql.QueryTracker.
func (t *tracker) Insert(ctx context.Context, _ string) (int, error) {
	if ctx.Value(parsingKey{}) != nil {
		return 0, nil
	}
	leave, err := t.turns.Take(ctx)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.taken[t.last] = leave
	return t.last, nil
}

// Delete implements promql.QueryTracker.
func (t *tracker) Delete(number int) {
	t.mu.Lock()
	leave := t.taken[number]
	delete(t.taken, number)
	t.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// Close implements promql.QueryTracker.
func (t *tracker) Close() error { return nil }
