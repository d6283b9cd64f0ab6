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
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/retention"
)

const replayHelp = `Write a part of the log into ClickHouse again.

What is there already stays as it is. With --shadow the rows go into tables beside the live ones, in the database with _shadow behind its name, for "metricstream shadow diff" and "swap"; run again, it goes on where it was, up to --to.

With an embedded log or an embedded engine, stop the process that has it open first.`

// replaySpan are the flags of `metricstream replay`.
type replaySpan struct {
	from, to  string
	fromGiven bool
	shadow    bool
}

func (s *replaySpan) bind(cmd *kingpin.CmdClause) {
	const positions = "oldest, newest, a time (RFC 3339), a duration ago such as 6h, or offsets by partition such as 0:1200,3:77."
	cmd.Flag("from", "Where to begin: "+positions).Default("oldest").IsSetByUser(&s.fromGiven).StringVar(&s.from)
	cmd.Flag("to", "Where to end: "+positions).Default("newest").StringVar(&s.to)
	cmd.Flag("shadow", "Write into the shadow tables instead of the live ones.").BoolVar(&s.shadow)
}

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
	a, metadata, err := openArchive(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	n := commandNode(c, f)
	defer func() { err = errors.Join(err, n.stack.Stop(stopTimeout)) }()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	if err := knowsErased(ctx, n.parts.store, metadata); err != nil {
		return err
	}
	if s.shadow {
		shadow, err := n.parts.store.CreateShadow(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, shadow.Close()) }()
		r := &shadowReplay{node: n, archive: a, shadow: shadow}
		return r.run(ctx, s, from, to)
	}
	span, err := a.Span(from, to)
	if err != nil {
		return err
	}
	p, err := n.replay(ctx, a, span, n.parts.store, func(kafka.ReplayProgress) error { return nil })
	if err != nil {
		fmt.Printf("To go on: metricstream replay %s\n", p.Rest.Flags())
	}
	return err
}

// commandNode is a process that runs one command on ClickHouse.
func commandNode(c config.Config, f *flags) *node {
	logger := c.Log.Logger(os.Stderr)
	return &node{role: role{name: "command", consumes: true}, config: c, flags: f, logger: logger, registry: newRegistry(), stack: lifecycle.New(logger), parts: parts{policies: retention.NewPolicies(c.Retention)}}
}

// replay writes a span of the log to w and shows how far it is.
func (n *node) replay(ctx context.Context, a *kafka.Archive, span kafka.Span, w store.Writer, report func(kafka.ReplayProgress) error) (kafka.ReplayProgress, error) {
	all := span.Records()
	fmt.Printf("replaying %d records of %d partitions: %s\n", all, len(span.From), span.Flags())
	began := time.Now()
	p, err := a.Replay(ctx, span, w, n.logger, func(p kafka.ReplayProgress) error {
		rest := p.Rest.Records()
		fmt.Printf("%5.1f%%  %d records, %d rows, %s\n", 100*float64(all-rest)/float64(all), p.Records, p.Rows, time.Since(began).Round(time.Second))
		return report(p)
	})
	fmt.Printf("%d records with %d rows replayed; left out: %d unreadable, %d refused\n", p.Records, p.Rows, p.Unreadable, p.Refused)
	return p, err
}
