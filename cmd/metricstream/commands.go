package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/kafka/embedded"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// commands adds what is done to the log by hand.
func commands(app *kingpin.Application, runs map[string]func(context.Context) error) {
	add := func(cmd *kingpin.CmdClause, run func(context.Context, config.Config, *flags) error) *flags {
		f := &flags{}
		bindLogFlags(cmd, f)
		runs[cmd.FullCommand()] = func(ctx context.Context) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			return run(ctx, c, f)
		}
		return f
	}
	log := app.Command("log", "Look after the embedded log.")
	add(log.Command("verify", "Read every record of the embedded log and report what is there and what is damaged. Nothing is written; the exit status is 1 where something is damaged."), verifyLog)
	letters := app.Command("deadletter", "Records that could not be consumed.")
	list := letters.Command("list", "List the dead letters.")
	list.Flag("from", "The first dead letter's offset.").Int64Var(&add(list, listLetters).from)
	replay := letters.Command("replay", "Append the dead letters that can be decoded to the partitions they came from. It may be repeated.")
	f := add(replay, replayLetters)
	replay.Flag("from", "The first dead letter's offset.").Int64Var(&f.from)
	bindClickHouse(replay, f)

	var span replaySpan
	again := app.Command("replay", replayHelp)
	span.bind(again)
	bindClickHouse(again, add(again, span.run))

	var hours rollupSpan
	fold := app.Command("rollup", "Fold hours of samples into the tiers again, or compare the tiers with the samples.")
	hours.bind(fold)
	bindClickHouse(fold, add(fold, hours.run))
	bindShadow(app, add)
}

func logDir(c config.Config) string { return filepath.Join(c.Storage.Path, "log") }

var errDamaged = errors.New("the log is damaged")

// verifyLog is `metricstream log verify`.
func verifyLog(_ context.Context, c config.Config, _ *flags) error {
	dirs := []string{logDir(c)}
	if letters := kafka.DeadLetterDir(dirs[0]); exists(letters) {
		dirs = append(dirs, letters)
	}
	corrupt := false
	for _, dir := range dirs {
		report, err := embedded.Verify(dir)
		if errors.Is(err, embedded.ErrLocked) {
			return fmt.Errorf("%w; stop it first, or verify a copy of the folder", err)
		}
		if err != nil {
			return err
		}
		printReport(report)
		corrupt = corrupt || report.Corrupt()
	}
	if corrupt {
		return errDamaged
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func printReport(r *embedded.Report) {
	fmt.Printf("%s: %d segments\n", r.Dir, len(r.Segments))
	records, bytes := 0, int64(0)
	for _, s := range r.Segments {
		records, bytes = records+s.Records, bytes+s.Bytes
		fmt.Printf("  %s  topic %s, %d records, %d bytes, offsets by partition:%s\n", filepath.Base(s.Path), s.Topic, s.Records, s.Bytes, showRanges(s.Offsets))
		if s.TornBytes > 0 {
			fmt.Printf("    torn: %d bytes at the end, from byte %d, of a write that was not acknowledged; the next start cuts them off\n", s.TornBytes, s.Bytes-s.TornBytes)
		}
		for _, d := range s.Damage {
			fmt.Printf("    DAMAGED: %s, %d bytes from byte %d: %s\n", s.Path, d.Bytes, d.Byte, d.Reason)
		}
	}
	for _, m := range r.Missing {
		fmt.Printf("  MISSING: offsets %d to %d of partition %d\n", m.From, m.To-1, m.Partition)
	}
	for group, offsets := range r.Committed {
		fmt.Printf("  group %s has committed:", group)
		for p := range int32(maxPartition(offsets) + 1) {
			if next, ok := offsets[p]; ok {
				fmt.Printf(" %d:%d", p, next)
			}
		}
		fmt.Println()
	}
	fmt.Printf("  in all %d records, %d bytes\n", records, bytes)
}

func showRanges(ranges []embedded.OffsetRange) string {
	var b strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&b, " %d:%d-%d", r.Partition, r.From, r.To-1)
	}
	return b.String()
}

func maxPartition(offsets map[int32]int64) int32 {
	most := int32(-1)
	for p := range offsets {
		most = max(most, p)
	}
	return most
}

// openArchive opens the log for a command, with the database of what was erased of it, see leaveOut.
func openArchive(ctx context.Context, c config.Config) (*kafka.Archive, *db.DB, error) {
	a, err := kafka.OpenArchive(ctx, c.Kafka, logDir(c), c.Log.Logger(os.Stderr))
	if errors.Is(err, embedded.ErrLocked) {
		err = fmt.Errorf("%w; stop it first", err)
	}
	if err != nil {
		return nil, nil, err
	}
	metadata, err := leaveOut(ctx, c, a)
	if err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, metadata, nil
}

// listLetters is `metricstream deadletter list`.
func listLetters(ctx context.Context, c config.Config, f *flags) error {
	a, _, err := openArchive(ctx, c)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "OFFSET\tTIME\tTOPIC\tPARTITION\tRECORD\tBYTES\tREQUEST\tERROR")
	n := 0
	err = a.Letters(ctx, f.from, func(l kafka.Letter) error {
		n++
		fmt.Fprintf(out, "%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", l.Offset, l.Time.UTC().Format(time.RFC3339), l.Topic, l.Partition, l.RecordOffset, len(l.Value), l.CorrelationID, oneLine(l.Error))
		return nil
	})
	err = errors.Join(err, out.Flush(), a.Close())
	fmt.Printf("%d dead letters\n", n)
	return err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// replayLetters is `metricstream deadletter replay`.
func replayLetters(ctx context.Context, c config.Config, f *flags) error {
	a, metadata, err := openArchive(ctx, c)
	if err != nil {
		return err
	}
	if err := lettersKnowErased(ctx, c, f, metadata); err != nil {
		return errors.Join(err, a.Close())
	}
	replayed, kept, next := 0, 0, f.from
	err = a.ReplayLetters(ctx, f.from, func(l kafka.Letter, why error) {
		next = l.Offset + 1
		if why != nil {
			kept++
			fmt.Printf("not replayed: %d: %s\n", l.Offset, oneLine(why.Error()))
			return
		}
		replayed++
		fmt.Printf("replayed: %d, to partition %d of %s\n", l.Offset, l.Partition, l.Topic)
	})
	fmt.Printf("%d replayed, %d not; --from=%d goes on behind the last one\n", replayed, kept, next)
	return errors.Join(err, a.Close())
}

// lettersKnowErased is knowsErased for dead letters of Kafka, which come back by way of the topic.
func lettersKnowErased(ctx context.Context, c config.Config, f *flags, metadata *db.DB) (err error) {
	switch {
	case len(c.Kafka.Brokers) == 0:
		return nil
	case c.ClickHouse.DSN == "" && metadata == nil:
		return store.Invalidf("what was erased must not come back with a dead letter: set metadata.dsn (--metadata.dsn), or where there is none clickhouse.dsn (--clickhouse.dsn), whose tables say whether anything was")
	case c.ClickHouse.DSN == "":
		return nil
	}
	n := commandNode(c, f)
	defer func() { err = errors.Join(err, n.stack.Stop(stopTimeout)) }()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	return knowsErased(ctx, n.parts.store, metadata)
}
