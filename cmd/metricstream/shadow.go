package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// shadowFlags are the flags of `metricstream shadow`.
type shadowFlags struct {
	days     []string
	all      bool
	liveOnly string
	examples int
}

// What a swap does about rows that only the live tables have.
const (
	liveOnlyRefuse = "refuse"
	liveOnlyKeep   = "keep"
	liveOnlyRemove = "remove"
)

const swapHelp = `Take days of the shadow over into the live tables, which may be in use.

Rows that only the shadow has are added, and label sets. What about rows that only the live tables have, --live-only says: refuse such days (the default), keep the rows, or remove them. Removing replaces the day's partitions, so it is possible only for days of which every sample arrived after the shadow's begin; it first reads what the log got since into the shadow, and afterwards, into the live tables, what it got meanwhile. What was replaced stays in the tables replaced_* of the shadow's database until "shadow drop". Killed, it is run again.`

func bindShadow(app *kingpin.Application, add func(*kingpin.CmdClause, func(context.Context, config.Config, *flags) error) *flags) {
	var s shadowFlags
	shadow := app.Command("shadow", "What `metricstream replay --shadow` has written: compare it with the live tables, take it over, drop it. With an embedded engine, stop the process that has it open first.")
	day := func(cmd *kingpin.CmdClause) {
		cmd.Flag("day", "A day in UTC, such as 2026-01-02. It may be repeated.").StringsVar(&s.days)
	}

	diff := shadow.Command("diff", "Say by day and table what differs between the shadow and the live tables; every day of the shadow where no --day is given. What the consumer has not written yet counts as only in the shadow, what arrived since the replay as only live.")
	day(diff)
	diff.Flag("examples", "How many series that differ are shown for each day and table.").Default("3").IntVar(&s.examples)
	bindClickHouse(diff, add(diff, s.withShadow(s.diff)))

	swap := shadow.Command("swap", swapHelp)
	day(swap)
	swap.Flag("all", "Every day of the shadow.").BoolVar(&s.all)
	swap.Flag("live-only", "Rows that only the live tables have: refuse, keep or remove.").Default(liveOnlyRefuse).EnumVar(&s.liveOnly, liveOnlyRefuse, liveOnlyKeep, liveOnlyRemove)
	bindClickHouse(swap, add(swap, s.withShadow(s.swap)))

	drop := shadow.Command("drop", "Drop the shadow, and with it what swaps have replaced.")
	bindClickHouse(drop, add(drop, s.withShadow(dropShadow)))
}

// withShadow opens what the commands work on.
func (s *shadowFlags) withShadow(run func(context.Context, *node, *clickhouse.Shadow) error) func(context.Context, config.Config, *flags) error {
	return func(ctx context.Context, c config.Config, f *flags) (err error) {
		n := commandNode(c, f)
		defer func() { err = errors.Join(err, n.stack.Stop(stopTimeout)) }()
		if err := n.openStore(ctx); err != nil {
			return err
		}
		shadow, err := n.parts.store.OpenShadow(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, shadow.Close()) }()
		return run(ctx, n, shadow)
	}
}

func dropShadow(ctx context.Context, _ *node, shadow *clickhouse.Shadow) error {
	if err := shadow.Drop(ctx); err != nil {
		return err
	}
	fmt.Printf("database %s dropped\n", shadow.Name())
	return nil
}

// choose returns the days that the flags name, all where they name none.
func (s *shadowFlags) choose(ctx context.Context, shadow *clickhouse.Shadow, completeMs int64) ([]clickhouse.Day, error) {
	all, err := shadow.Days(ctx, completeMs)
	if err != nil || len(s.days) == 0 {
		return all, err
	}
	var days []clickhouse.Day
	for _, text := range s.days {
		day, err := clickhouse.ParseDay(text)
		if err != nil {
			return nil, fmt.Errorf("--day: %w", err)
		}
		if !slices.Contains(all, day) {
			return nil, store.Invalidf("--day: the shadow has nothing of %s, only of: %s", day, clickhouse.JoinDays(all))
		}
		days = append(days, day)
	}
	return days, nil
}

// diff is `metricstream shadow diff`.
func (s *shadowFlags) diff(ctx context.Context, n *node, shadow *clickhouse.Shadow) error {
	spans, err := shadow.Spans(ctx, n.config.Kafka.Topic)
	if err != nil {
		return err
	}
	completeMs, incomplete := completeFrom(spans, n.config.RemoteWrite.MaxFuture)
	days, err := s.choose(ctx, shadow, completeMs)
	if err != nil {
		return err
	}
	printSpans(spans, completeMs, incomplete)
	var p diffPrinter
	for _, day := range days {
		differences, err := shadow.Diff(ctx, day, s.examples)
		if err != nil {
			return err
		}
		p.print(differences)
	}
	sets, err := shadow.DiffLabelSets(ctx)
	if err != nil {
		return err
	}
	p.end(sets)
	return nil
}

// swap is `metricstream shadow swap`.
func (s *shadowFlags) swap(ctx context.Context, n *node, shadow *clickhouse.Shadow) error {
	if s.all == (len(s.days) > 0) {
		return store.Invalidf("say which days: --day=... (it may be repeated), or --all")
	}
	spans, err := shadow.Spans(ctx, n.config.Kafka.Topic)
	if err != nil {
		return err
	}
	completeMs, incomplete := completeFrom(spans, n.config.RemoteWrite.MaxFuture)
	days, err := s.choose(ctx, shadow, completeMs)
	if err != nil {
		return err
	}
	replace, err := shadow.Unfinished(ctx)
	if err != nil {
		return err
	}
	if len(replace) > 0 {
		fmt.Printf("finishing what was interrupted: %s\n", clickhouse.JoinDays(replace))
		incomplete = nil // it was not when they were begun
	}
	if s.liveOnly == liveOnlyRemove {
		if err := checkComplete(days, completeMs, incomplete); err != nil {
			return err
		}
		replace, days = slices.Compact(slices.Sorted(slices.Values(append(replace, days...)))), nil
	}
	if len(replace) > 0 {
		if err := replaceDays(ctx, n, shadow, spans, replace); err != nil {
			fmt.Println("To go on: run the same command again")
			return err
		}
	}
	return s.addDays(ctx, shadow, days)
}

// checkComplete refuses days of which the log may not hold every sample.
func checkComplete(days []clickhouse.Day, completeMs int64, incomplete error) error {
	if incomplete != nil {
		return fmt.Errorf("cannot remove rows from the live tables: %w", incomplete)
	}
	var old []clickhouse.Day
	for _, day := range days {
		if day.MinMs() < completeMs {
			old = append(old, day)
		}
	}
	if len(old) > 0 {
		return store.Invalidf("cannot remove rows from the live tables of %s: samples of it may have arrived before the shadow's begin, the first day that cannot is %s; --live-only=keep adds what only the shadow has",
			clickhouse.JoinDays(old), firstComplete(completeMs))
	}
	return nil
}

// addDays adds what only the shadow has, after a look at all the days.
func (s *shadowFlags) addDays(ctx context.Context, shadow *clickhouse.Shadow, days []clickhouse.Day) error {
	if len(days) == 0 {
		return nil
	}
	var p diffPrinter
	var refused []string
	for _, day := range days {
		differences, err := shadow.Diff(ctx, day, 0)
		if err != nil {
			return err
		}
		p.print(differences)
		for _, d := range differences {
			if d.OnlyLive > 0 {
				refused = append(refused, fmt.Sprintf("%d rows of %s in %s", d.OnlyLive, day, d.Table))
			}
		}
	}
	if len(refused) > 0 && s.liveOnly == liveOnlyRefuse {
		return store.Invalidf("nothing was done: only the live tables have %s; `metricstream replay --shadow` reads what arrived since, --live-only=keep leaves them where they are, --live-only=remove removes them", strings.Join(refused, ", "))
	}
	if err := shadow.AddSeries(ctx); err != nil {
		return err
	}
	for _, day := range days {
		if err := shadow.Add(ctx, day); err != nil {
			return err
		}
		fmt.Printf("%s: added what only the shadow had\n", day)
	}
	return nil
}

// replaceDays puts the shadow's days in the place of the live ones.
func replaceDays(ctx context.Context, n *node, shadow *clickhouse.Shadow, spans []clickhouse.ShadowSpan, days []clickhouse.Day) (err error) {
	a, metadata, err := openArchive(ctx, n.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := knowsErased(ctx, n.parts.store, metadata); err != nil {
		return err
	}
	newest := kafka.Newest()
	r := &shadowReplay{node: n, archive: a, shadow: shadow, spans: spans}
	if err := r.advance(ctx, newest); err != nil {
		return err
	}
	if err := shadow.AddSeries(ctx); err != nil {
		return err
	}
	var p diffPrinter
	for _, day := range days {
		differences, err := shadow.Diff(ctx, day, 0)
		if err != nil {
			return err
		}
		p.print(differences)
		if err := shadow.Replace(ctx, day); err != nil {
			return err
		}
		fmt.Printf("%s: replaced\n", day)
	}
	failpoint.Hit("shadow/replaced")
	// What was written to the live tables after the shadow was read to its end came from the log behind that end.
	rest, err := r.rest(ctx, newest)
	if err != nil {
		return err
	}
	fmt.Println("reading what arrived meanwhile into the live tables")
	if _, err := n.replay(ctx, a, rest, n.parts.store, func(kafka.ReplayProgress) error { return nil }); err != nil {
		return err
	}
	failpoint.Hit("shadow/read-on")
	if err := shadow.Finish(ctx, days); err != nil {
		return err
	}
	fmt.Printf("What was there before is in the tables replaced_* of database %s.\n", shadow.Name())
	return nil
}
