package tiered

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// coverageAge is how long a tenant's coverage is held to be true.
	coverageAge = 5 * time.Second

	// maxTenants is the number of tenants whose coverage is kept.
	maxTenants = 10_000
)

// Remembered is a [rollup.Reader] that remembers for some seconds what is covered, so that queries need no statements of
// their own for it.
//
// An hour that was closed may get late samples, and is then answered from raw until it is folded again. A query may still
// take its rows for as long as that is remembered: it sees the late samples some seconds later, or at once where its
// context says so, see [store.WithFresh].
type Remembered struct {
	rollup.Reader

	oldest *prometheus.GaugeVec

	mu    sync.Mutex
	known map[string]coverage
}

type coverage struct {
	spans rollup.Coverage
	until time.Time
}

// Remember returns a reader that remembers; registerer may be nil.
func Remember(r rollup.Reader, registerer prometheus.Registerer) *Remembered {
	oldest := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "metricstream_tiers_oldest_timestamp_seconds",
		Help: "From when on a tenant's raw samples (tier raw) or downsampled rows can be read, as Unix time, of tenants that this process has answered.",
	}, []string{"tenant", "tier"})
	if registerer != nil {
		registerer.MustRegister(oldest)
	}
	return &Remembered{Reader: r, oldest: oldest, known: map[string]coverage{}}
}

// Coverage implements [rollup.Reader]. Nobody may change what it returns.
func (r *Remembered) Coverage(ctx context.Context, tenant string) (rollup.Coverage, error) {
	now := time.Now()
	r.mu.Lock()
	known, ok := r.known[tenant]
	r.mu.Unlock()
	if ok && now.Before(known.until) && !store.Fresh(ctx) {
		return known.spans, nil
	}
	spans, err := r.Reader.Coverage(ctx, tenant)
	if err != nil {
		return rollup.Coverage{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxTenants {
		clear(r.known)
		r.oldest.Reset()
	}
	r.known[tenant] = coverage{spans, now.Add(coverageAge)}
	r.tell(tenant, spans)
	return spans, nil
}

// tell shows from when on there is what.
func (r *Remembered) tell(tenant string, c rollup.Coverage) {
	for tier, spans := range c {
		name := rollup.Tier(tier).String()
		if len(spans) == 0 || spans[0].FromMs == math.MaxInt64 {
			r.oldest.DeleteLabelValues(tenant, name)
			continue
		}
		r.oldest.WithLabelValues(tenant, name).Set(float64(spans[0].FromMs) / 1000)
	}
}
