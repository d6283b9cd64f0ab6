package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/metricstream/metricstream/kafka"
)

// replaySpan are the flags of `metricstream replay`.
type replaySpan struct{ from, to string }

// run writes a part of the log into ClickHouse again.
func (s *replaySpan) run(ctx context.Context, c config.Config, f *flags) (err error) {
	from, err := kafka.ParsePosition(s.from, time.Now())
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	to, err := kafka.ParsePosition(s.to, time.Now())
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	a, err := openArchive(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	span, err := a.Span(from, to)
	if err != nil {
		return err
	}
	logger := c.Log.Logger(os.Stderr)
	n := &node{role: role{name: "replay", consumes: true}, config: c, flags: f, logger: logger, registry: newRegistry(), stack: lifecycle.New(logger)}
	defer func() { err = errors.Join(err, n.stack.Stop(stopTimeout)) }()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	all := span.Records()
	fmt.Printf("replaying %d records of %d partitions: %s\n", all, len(span.From), span.Flags())
	began := time.Now()
	p, err := a.Replay(ctx, span, n.parts.store, logger, func(p kafka.ReplayProgress) {
		rest := p.Rest.Records()
		fmt.Printf("%5.1f%%  %d records, %d rows, %s\n", 100*float64(all-rest)/float64(all), p.Records, p.Rows, time.Since(began).Round(time.Second))
	})
	fmt.Printf("%d records with %d rows replayed; left out: %d unreadable, %d refused\n", p.Records, p.Rows, p.Unreadable, p.Refused)
	if err != nil {
		fmt.Printf("To go on: metricstream replay %s\n", p.Rest.Flags())
	}
	return err
}
