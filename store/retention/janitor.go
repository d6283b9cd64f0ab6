package retention

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// Kind says what a partition holds.
type Kind uint8

const (
	// Raw are samples and histograms.
	Raw Kind = iota
	// Exemplars are kept as long as raw.
	Exemplars
	// Minute and Hour are rows of tiers.
	Minute
	Hour
)

// Partition is a part of a table that can be dropped at once.
type Partition struct {
	Table string
	Kind  Kind
	Class uint8

	// FromMs and ToMs are the times that it has room for, the end not included.
	FromMs, ToMs int64

	Rows, Bytes uint64

	// Dense says of a raw partition that some of its series have rows of minutes for the same time, so that their samples
	// can go before those of the others.
	Dense bool
}

// Partitions is what the janitor works on. Everything it does may be done again, by several at once.
type Partitions interface {
	// Partitions returns all partitions, those of a table and class in ascending order of time.
	Partitions(ctx context.Context) ([]Partition, error)

	// Unfolded reports whether a raw partition has samples in hours of which the rows of the tiers are not complete, or in
	// which more may come.
	Unfolded(ctx context.Context, p Partition) (bool, error)

	// Expire records what is about to be done with a partition; it is not undone.
	Expire(ctx context.Context, p Partition, a Action) error

	// Drop removes a partition.
	Drop(ctx context.Context, p Partition) error

	// Thin removes from a raw partition the samples of the series that have rows of minutes. When it returns nil the
	// partition is no longer Dense.
	Thin(ctx context.Context, p Partition) error

	// Forget removes the series that have had no samples since a time.
	Forget(ctx context.Context, beforeMs int64) error
}

// Action is what is to be done with a partition.
type Action uint8

const (
	Keep Action = iota
	Thin
	Drop
)

// Due returns what is to be done with a partition at a time.
func (p Policy) Due(part Partition, now time.Time) Action {
	over := func(d model.Duration) bool { return part.ToMs <= now.Add(-time.Duration(d)).UnixMilli() }
	switch part.Kind {
	case Minute:
		return dropIf(over(p.Minute))
	case Hour:
		return dropIf(over(p.Hour))
	case Exemplars:
		return dropIf(over(p.Raw))
	}
	switch {
	case !over(p.Raw):
		return Keep
	case over(p.Minute): // or there are no minutes
		return Drop
	case part.Dense:
		return Thin
	}
	return Keep
}

func dropIf(over bool) Action {
	if over {
		return Drop
	}
	return Keep
}

// Longest returns the longest time that anything is kept.
func (p *Policies) Longest() time.Duration {
	longest := func(q Policy) model.Duration { return max(q.Raw, q.Minute, q.Hour) }
	most := longest(p.config.Policy)
	for _, c := range p.config.Classes {
		most = max(most, longest(c.Policy))
	}
	return time.Duration(most)
}

// interval is how often the janitor looks: partitions are days. One that is not the owner looks more often whether it has
// become that.
const (
	interval      = 10 * time.Minute
	ownerInterval = 10 * time.Second
)

// Janitor drops partitions whose time is over.
type Janitor struct {
	policies   *Policies
	partitions Partitions
	owner      func() bool
	logger     *slog.Logger
	dropped    *prometheus.CounterVec
	failures   prometheus.Counter
	oldest     *prometheus.GaugeVec
	now        func() time.Time
}

// Options are what a janitor uses of its surroundings.
type Options struct {
	// Owner, where not nil, says whether this process is to do the work now; one of all is enough.
	Owner      func() bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// NewJanitor returns a janitor that Run starts.
func NewJanitor(policies *Policies, partitions Partitions, o Options) *Janitor {
	j := &Janitor{policies: policies, partitions: partitions, owner: o.Owner, logger: o.Logger, now: o.Now}
	if j.owner == nil {
		j.owner = func() bool { return true }
	}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	if j.now == nil {
		j.now = time.Now
	}
	j.dropped = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_retention_partitions_total",
		Help: "Partitions that were dropped, or thinned, because their time was over.",
	}, []string{"table", "action"})
	j.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "metricstream_retention_failures_total",
		Help: "Sweeps of the janitor that failed; it tries again at the next.",
	})
	j.oldest = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "metricstream_retention_oldest_timestamp_seconds",
		Help: "The begin of the oldest partition of a table and retention class, as Unix time. Only the process that sweeps knows it.",
	}, []string{"table", "class"})
	if o.Registerer != nil {
		o.Registerer.MustRegister(j.dropped, j.failures, j.oldest)
	}
	return j
}

// Run sweeps now and again until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	for {
		wait := ownerInterval
		if j.owner() {
			wait = interval
			if err := j.Sweep(ctx); err != nil && ctx.Err() == nil {
				j.failures.Inc()
				j.logger.Warn("cannot drop what is past its retention; trying again", "err", err, "next_try_in", interval)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep does everything that is due, once.
func (j *Janitor) Sweep(ctx context.Context) error {
	all, err := j.partitions.Partitions(ctx)
	if err != nil {
		return err
	}
	now := j.now()
	for _, p := range all {
		if err := j.sweep(ctx, p, now); err != nil {
			return err
		}
	}
	if all, err = j.partitions.Partitions(ctx); err != nil {
		return err
	}
	j.oldest.Reset()
	for _, p := range slices.Backward(all) { // they ascend
		j.oldest.WithLabelValues(p.Table, strconv.Itoa(int(p.Class))).Set(float64(p.FromMs) / 1000)
	}
	return j.partitions.Forget(ctx, now.Add(-j.policies.Longest()).UnixMilli())
}

func (j *Janitor) sweep(ctx context.Context, p Partition, now time.Time) error {
	action, do, name := j.policies.Of(p.Class).Due(p, now), j.partitions.Drop, "drop"
	switch action {
	case Keep:
		return nil
	case Thin:
		do, name = j.partitions.Thin, "thin"
	}
	// Old data that came just now must not go before it is in the tiers. A fold that begins between the two looks sees what is
	// recorded, and does not take what is left of raw for all there was.
	if waits, err := j.waits(ctx, p); err != nil || waits {
		return err
	}
	if err := j.partitions.Expire(ctx, p, action); err != nil {
		return err
	}
	if waits, err := j.waits(ctx, p); err != nil || waits {
		return err
	}
	if err := do(ctx, p); err != nil {
		return err
	}
	j.dropped.WithLabelValues(p.Table, name).Inc()
	j.logger.Info("past its retention", "action", name, "table", p.Table, "class", p.Class,
		"from", time.UnixMilli(p.FromMs).UTC(), "to", time.UnixMilli(p.ToMs).UTC(), "rows", p.Rows, "bytes", p.Bytes)
	return nil
}

// waits reports whether a partition has to be kept beyond its retention until it is downsampled.
func (j *Janitor) waits(ctx context.Context, p Partition) (bool, error) {
	if p.Kind != Raw || !j.policies.Of(p.Class).tiers() {
		return false, nil
	}
	unfolded, err := j.partitions.Unfolded(ctx, p)
	if unfolded {
		j.logger.Debug("kept beyond its retention until it is downsampled", "table", p.Table, "from", time.UnixMilli(p.FromMs).UTC())
	}
	return unfolded, err
}
