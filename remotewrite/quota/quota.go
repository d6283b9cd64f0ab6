// Package quota owns how much tenants and keys have used of their limits on ingest: samples a second, and series. It
// counts, shares the counts with other receivers in the background, and decides; no request waits for it. It leaves to its
// caller what is limited, and what a refusal looks like.
package quota

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/tenant/limits"
)

// Options are what a [Ledger] needs of the rest of the program.
type Options struct {
	// Shared is the count that several receivers share; nil is that this process is the only one.
	Shared Shared
	// Journal is where the series that were seen are remembered over a restart, and shared; nil is nowhere.
	Journal Journal
	Logger  *slog.Logger
	// Registerer gets the ledger's metrics.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// minInterval is how often use is exchanged.
	minInterval = time.Second

	// exchangeTimeout bounds one exchange, and maxUses is how many subjects it has.
	exchangeTimeout = time.Second
	maxUses         = 200

	// forgetAfter is how long an idle subject is remembered.
	forgetAfter = time.Minute

	// maxTenants bounds the tenants whose use is known, and the subjects too.
	maxTenants = 100_000
)

// Ledger knows the use of each tenant. Its methods may be called from several goroutines at once, Load and Run
// excepted, which one goroutine calls one after the other.
type Ledger struct {
	shared  Shared
	journal Journal
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	mu       sync.RWMutex
	buckets  map[Subject]*bucket
	accounts map[string]*account
	swept    time.Time // when room was last made for more tenants

	// receivers is how many share the limits, as last heard.
	receivers atomic.Int64

	// away is set while the shared state does not answer.
	away atomic.Bool

	// slice is the present slice of time, see series.go.
	slice atomic.Int64
	walk  walk

	rated time.Time // when the rates of the accounts were last taken
}

// New returns a ledger.
func New(o Options) *Ledger {
	l := &Ledger{
		shared: o.Shared, journal: o.Journal, log: o.Logger, now: o.Now,
		buckets: make(map[Subject]*bucket), accounts: make(map[string]*account),
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.receivers.Store(1)
	l.rated = l.now()
	l.slice.Store(sliceOf(l.rated))
	l.walk.jitter = rand.N(sliceLength / 6)
	l.metrics = newMetrics(o.Registerer, l)
	return l
}

// Load reads what is known elsewhere, so that a receiver that comes back knows the series that it knew. Where the shared
// state is away it says so in the log and goes on.
func (l *Ledger) Load(ctx context.Context) { l.round(ctx) }

// Run exchanges use with the other receivers every second until ctx ends, and returns its error.
func (l *Ledger) Run(ctx context.Context) error {
	tick := time.NewTicker(minInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			l.round(ctx)
		}
	}
}

// round does all that is done in the background, once.
func (l *Ledger) round(ctx context.Context) {
	now := l.now()
	l.takeRates(now)
	l.forget(now)
	l.turn(now)
	err := l.exchange(ctx)
	if err == nil {
		err = l.exchangeSeries(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	switch {
	case err != nil:
		l.metrics.errors.Inc()
		if !l.away.Swap(true) {
			l.log.Warn("the use of limits cannot be shared or remembered: this receiver goes on with its last share of them", "err", err)
		}
	case l.away.Swap(false):
		l.log.Info("the use of limits is shared and remembered again")
	}
}

// exchange tells what was let through here and takes over the leases.
func (l *Ledger) exchange(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	l.mu.RLock()
	subjects := make([]Subject, 0, len(l.buckets))
	buckets := make([]*bucket, 0, len(l.buckets))
	for s, b := range l.buckets {
		subjects, buckets = append(subjects, s), append(buckets, b)
	}
	l.mu.RUnlock()
	after := Absence(l.away.Load())
	for first := true; first || len(buckets) > 0; first = false { // once also about nothing: receivers count each other
		n := min(maxUses, len(buckets))
		uses := make([]Use, n)
		for i, b := range buckets[:n] {
			uses[i] = b.report(l.now())
			uses[i].Subject = subjects[i]
		}
		within, cancel := context.WithTimeout(ctx, exchangeTimeout)
		leases, receivers, err := l.shared.Exchange(within, uses, after)
		cancel()
		if err != nil {
			return err
		}
		l.receivers.Store(int64(max(1, receivers)))
		for i, b := range buckets[:n] {
			b.lease(leases[i], l.now())
		}
		subjects, buckets = subjects[n:], buckets[n:]
	}
	return nil
}

// forget drops what is idle.
func (l *Ledger) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(now)
}

func (l *Ledger) forgetLocked(now time.Time) {
	l.swept = now
	for s, b := range l.buckets {
		if b.idle(now) {
			delete(l.buckets, s)
		}
	}
	for id, a := range l.accounts {
		if a.idle(now) {
			delete(l.accounts, id)
		}
	}
}

// bucketOf returns the bucket of a limit, nil where there is none. False is that there is no room for one more.
func (l *Ledger) bucketOf(s Subject, r rate, now time.Time) (*bucket, bool) {
	if r.perSecond <= 0 {
		return nil, true
	}
	l.mu.RLock()
	b := l.buckets[s]
	l.mu.RUnlock()
	if b != nil {
		b.limitTo(r, now)
		return b, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[s]; b != nil {
		b.limitTo(r, now)
		return b, true
	}
	if !l.room(len(l.buckets), now) {
		return nil, false
	}
	b = newBucket(r, 1/float64(l.receivers.Load()), now)
	l.buckets[s] = b
	return b, true
}

// room reports whether one more fits beside n, and makes room at most once a second.
func (l *Ledger) room(n int, now time.Time) bool {
	if n < maxTenants {
		return true
	}
	if now.Sub(l.swept) >= time.Second {
		l.forgetLocked(now)
	}
	return len(l.buckets) < maxTenants && len(l.accounts) < maxTenants
}

// samplesRate and newSeriesRate are the limits of a kind.
func samplesRate(l *limits.Limits) rate {
	return rate{float64(l.SamplesPerSecond), float64(l.Burst())}
}

func newSeriesRate(l *limits.Limits) rate {
	n := float64(l.NewSeriesPerMinute)
	return rate{n / 60, n}
}
