package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

// rollupSpan are the flags of `metricstream rollup`.
type rollupSpan struct {
	from, to string
	verify   bool
}

// bind adds the command's flags.
func (s *rollupSpan) bind(cmd *kingpin.CmdClause) {
	const times = "a time (RFC 3339), or a duration ago such as 6h."
	cmd.Flag("from", "Where to begin: "+times).Required().StringVar(&s.from)
	cmd.Flag("to", "Where to end: "+times).Default("0s").StringVar(&s.to)
	cmd.Flag("verify", "Write nothing; compare the tables with what raw makes of the hours, and report every difference. The exit status is 1 where there are any.").BoolVar(&s.verify)
}

// maxShown is how many differences are printed.
const maxShown = 100

var errDifferent = errors.New("the tables are not what raw makes of them; the same command without --verify folds the hours again")

// run folds hours again, or compares them.
func (s *rollupSpan) run(ctx context.Context, c config.Config, f *flags) (err error) {
	span, err := s.span(time.Now())
	if err != nil {
		return err
	}
	logger := c.Log.Logger(os.Stderr)
	n := &node{
		role: role{name: "rollup", consumes: true}, config: c, flags: f, logger: logger, registry: newRegistry(),
		stack: lifecycle.New(logger), parts: parts{policies: retention.NewPolicies(c.Retention)},
	}
	defer func() { err = errors.Join(err, n.stack.Stop(stopTimeout)) }()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	hours := newHourCount(span)
	fmt.Printf("%d hours from %s to %s\n", hours.all, showTime(span.FromMs), showTime(span.ToMs))
	if s.verify {
		return n.verifyRollups(ctx, span, hours)
	}
	d := rollup.NewDownsampler(c.Rollup, rollup.Options{
		Tables: n.parts.store, Tiers: tiersOf(c.Retention), Logger: logger, Registerer: n.registry,
	})
	if err := d.FoldHours(ctx, span, hours.done); err != nil {
		return err
	}
	fmt.Printf("%d hours folded in %s; the others are not over yet\n", hours.n, time.Since(hours.began).Round(time.Millisecond))
	return nil
}

// verifyRollups compares hours.
func (n *node) verifyRollups(ctx context.Context, span rollup.Span, hours *hourCount) error {
	expired, err := n.parts.store.Expired(ctx)
	if err != nil {
		return err
	}
	different, compared, lost := 0, 0, 0
	for end := span.FromMs + rollup.Hour.StepMs(); end <= span.ToMs; end += rollup.Hour.StepMs() {
		closed, err := rollup.Verify(ctx, n.parts.store, end, func(d rollup.Difference) {
			if different++; different <= maxShown {
				fmt.Println(d)
			}
		})
		if err != nil {
			return err
		}
		if closed {
			compared++
			if rollup.Lost(expired, end) {
				lost++
			}
		}
		hours.done(end)
	}
	fmt.Printf("%d hours compared, %d are not closed or wait to be folded again; %d differences\n", compared, hours.all-compared, different)
	if lost > 0 {
		fmt.Printf("%d of the hours have lost samples to retention: of these, only the series were compared of which raw has all\n", lost)
	}
	if different > 0 {
		return errDifferent
	}
	return nil
}

// span returns the whole hours that the flags mean.
func (s *rollupSpan) span(now time.Time) (rollup.Span, error) {
	from, err := parseTime(s.from, now)
	if err != nil {
		return rollup.Span{}, fmt.Errorf("--from: %w", err)
	}
	to, err := parseTime(s.to, now)
	if err != nil {
		return rollup.Span{}, fmt.Errorf("--to: %w", err)
	}
	span := rollup.Span{FromMs: from.Truncate(time.Hour).UnixMilli(), ToMs: rollup.EndMs(to.UnixMilli(), rollup.Hour.StepMs())}
	if span.FromMs >= span.ToMs {
		return span, fmt.Errorf("--from is %s, which is not before --to, %s", showTime(span.FromMs), showTime(span.ToMs))
	}
	return span, nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time such as 2026-08-01T00:00:00Z nor a duration such as 6h", s)
	}
	return t, nil
}

func showTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// hourCount shows how far a command is.
type hourCount struct {
	all, n    int
	began, at time.Time
}

func newHourCount(span rollup.Span) *hourCount {
	now := time.Now()
	return &hourCount{all: int((span.ToMs - span.FromMs) / rollup.Hour.StepMs()), began: now, at: now}
}

// done counts an hour, and prints the progress every few seconds.
func (h *hourCount) done(endMs int64) {
	h.n++
	if now := time.Now(); now.Sub(h.at) >= 2*time.Second {
		h.at = now
		fmt.Printf("%5.1f%%  %d hours, until %s, %s\n", 100*float64(h.n)/float64(h.all), h.n, showTime(endMs), now.Sub(h.began).Round(time.Second))
	}
}
