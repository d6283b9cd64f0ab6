package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a downsampler works with.
type Options struct {
	Tables Tables

	// Log tells which hours are complete; without one they are when they are over.
	Log Log

	// Owner reports whether this process is to fold at the moment; nil is always. Two that think so do no harm, only twice
	// the work.
	Owner func() bool

	// Tiers are those that are written; 0 is both.
	Tiers Tiers

	// Interval is how often the downsampler looks for hours to fold; 0 is 15 s.
	Interval time.Duration

	// Now is the wall clock in milliseconds; nil is the real one.
	Now func() int64

	// Logger receives what an operator should know; nil is silence.
	Logger *slog.Logger

	// Registerer receives the metrics; nil is none.
	Registerer prometheus.Registerer
}

// Downsampler folds the hours of raw as they are complete, and again those that were written into late. It keeps nothing
// between hours: what is to be done stands in the tables.
type Downsampler struct {
	Options
	minSamples uint32 // of an hour
	metrics    *metrics
	folder     hourFolder
}

// NewDownsampler returns a downsampler that Run starts.
func NewDownsampler(cfg Config, o Options) *Downsampler {
	if o.Tiers == 0 {
		o.Tiers = Minute.Set() | Hour.Set()
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Downsampler{Options: o, minSamples: minSamplesOf(cfg, o.Tiers)}
	d.metrics = newMetrics(o.Registerer)
	return d
}

// minSamplesOf returns from how many samples in an hour on a series gets rows of minutes. Only rows of hours say that
// those of minutes are missing, so without them all series get rows of minutes.
func minSamplesOf(cfg Config, tiers Tiers) uint32 {
	switch {
	case !tiers.Has(Minute):
		return noMinutes
	case !tiers.Has(Hour):
		return 0
	}
	return uint32(60 * cfg.MinSamples)
}

// noMinutes is more samples than an hour has.
const noMinutes = 1<<32 - 1

// Run folds until ctx ends; the error is nil then. What fails is tried again.
func (d *Downsampler) Run(ctx context.Context) error {
	failed := ""
	for {
		err := d.cycle(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			d.Logger.Warn("cannot downsample; it is tried again", "err", err)
		}
		if err != nil {
			d.metrics.failures.Inc()
		}
		if !sleep(ctx, d.Interval) {
			return nil
		}
	}
}

// sleep waits, and reports whether ctx is not done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cycle folds everything that is to be folded now.
func (d *Downsampler) cycle(ctx context.Context) error {
	owner := d.Owner == nil || d.Owner()
	d.metrics.setOwner(owner)
	if !owner {
		return nil
	}
	todo, err := d.pending(ctx)
	if err != nil {
		return err
	}
	progress := newProgress(d.Logger, len(todo))
	for _, j := range todo {
		if d.Owner != nil && !d.Owner() {
			return nil
		}
		began := time.Now()
		if err := d.fold(ctx, j); err != nil {
			return err
		}
		progress.done(j.endMs)
		// As long as it worked it rests, so that a long backlog leaves half of a core to others.
		if !sleep(ctx, time.Since(began)) {
			return ctx.Err()
		}
	}
	return nil
}

// FoldHours folds the hours that lie in the span again, whatever their state, and calls report after each. Those that have
// no raw, or none any more, stay as they are.
func (d *Downsampler) FoldHours(ctx context.Context, span Span, report func(endMs int64)) error {
	marks, err := d.Tables.Marks(ctx, maxMarks)
	if err != nil {
		return err
	}
	marked := byHour(marks)
	days, err := d.Tables.Days(ctx)
	if err != nil {
		return err
	}
	for end := EndMs(span.FromMs+hourMs, hourMs); end <= min(span.ToMs, floorTo(d.Now()-GraceMs, hourMs)); end += hourMs {
		before, err := d.stateOf(ctx, end)
		if err != nil {
			return err
		}
		if before.State == Closing || hasRaw(days, end) {
			if err := d.fold(ctx, job{endMs: end, marks: marked[end], whole: true}); err != nil {
				return err
			}
		}
		report(end)
	}
	return nil
}

// progress logs now and then how far a long backlog is.
type progress struct {
	logger    *slog.Logger
	all, n    int
	began, at time.Time
}

// progressEvery is how often the progress is logged.
const progressEvery = 10 * time.Second

func newProgress(l *slog.Logger, all int) *progress {
	now := time.Now()
	return &progress{logger: l, all: all, began: now, at: now}
}

func (p *progress) done(endMs int64) {
	p.n++
	if now := time.Now(); now.Sub(p.at) >= progressEvery {
		p.at = now
		p.logger.Info("downsampling", "hours_done", p.n, "hours", p.all, "hour", time.UnixMilli(endMs).UTC().Format(time.RFC3339), "took", now.Sub(p.began).Round(time.Second))
	}
}
