package tiered

import (
	"context"
	"sync"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	prom "github.com/prometheus/prometheus/promql"
)

const (
	// coverageAge is how long a tenant's coverage is held to be true.
	coverageAge = 5 * time.Second

	// maxTenants is the number of tenants whose coverage is kept.
	maxTenants = 10_000
)

// coverages remembers what is covered of tenants, so that a query needs no statement of its own for it.
//
// An hour that was closed may get late samples, and is then answered from raw. A query that asked shortly before still
// takes the rows: it sees the late samples as late as coverageAge.
type coverages struct {
	reader rollup.Reader

	mu    sync.Mutex
	known map[string]coverage
}

type coverage struct {
	spans rollup.Coverage
	until time.Time
}

func newCoverages(r rollup.Reader) *coverages {
	return &coverages{reader: r, known: map[string]coverage{}}
}

// of returns what is covered of a tenant; errors are of the types that the engine returns.
func (c *coverages) of(ctx context.Context, tenant string) (rollup.Coverage, error) {
	now := time.Now()
	c.mu.Lock()
	known, ok := c.known[tenant]
	c.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.spans, nil
	}
	spans, err := c.reader.Coverage(ctx, tenant)
	if err != nil {
		return rollup.Coverage{}, coverageError(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxTenants {
		clear(c.known)
	}
	c.known[tenant] = coverage{spans, now.Add(coverageAge)}
	return spans, nil
}

func coverageError(ctx context.Context, err error) error {
	switch ended := ctx.Err(); {
	case ended == context.DeadlineExceeded:
		return prom.ErrQueryTimeout("reading what the tiers cover")
	case ended != nil:
		return prom.ErrQueryCanceled("reading what the tiers cover")
	case store.KindOf(err) == store.KindUnavailable:
		return prom.ErrStorage{Err: err}
	}
	return err
}
