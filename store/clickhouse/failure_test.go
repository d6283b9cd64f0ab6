package clickhouse_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// eventually polls until done or a minute has gone.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute not yet: %s", what)
		}
	}
}

func TestACancelledContextEndsTheStatement(t *testing.T) {
	s := open(t)
	running := func() bool {
		var n uint64
		q := "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'metricstream select sleep'"
		if err := s.Scan(context.Background(), q, &n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Sleep(ctx) }()
	eventually(t, "the statement runs", running)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the statement ended with %v", err)
	}
	eventually(t, "the statement has ended in the server", func() bool { return !running() })
	write(t, s, batchOf("t", 0, labels.FromStrings("__name__", "m"))) // on a new connection
}

func TestADeadlineIsTold(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := s.Sleep(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the statement ended with %v", err)
	}
}

// A server that was killed and came back is used again without opening the store anew, and what was written
// before is there.
func TestAServerThatWasKilled(t *testing.T) {
	own := testenv.StartOwnEngine(t, "")
	u, err := url.Parse(own.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/killed"
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s := openWith(t, cfg)
	m := labels.FromStrings("__name__", "m")
	write(t, s, batchOf("t", 1, m))
	own.Kill()
	failed := false
	eventually(t, "the server takes writes again", func() bool {
		err := s.Write(context.Background(), batchOf("t", 2, m))
		if err != nil && store.KindOf(err) != store.KindUnavailable {
			t.Fatalf("a server that is away is not a fault of the batch: %v", err)
		}
		failed = failed || err != nil
		return err == nil
	})
	if !failed {
		t.Log("the server was back before anybody noticed")
	}
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	if got := selectAll(t, s, everything("t", equal("__name__", "m"))); len(got) != 1 || len(got[0].TimesMs) != 2 {
		t.Errorf("got %v", got)
	}
}

// The progress is never ahead of the rows that it speaks of: whichever table refuses its rows, the log will be read
// again from where it was.
func TestProgressComesLast(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	b := mixedBatch(rand.New(rand.NewPCG(1, 1)))
	b.Progress = []store.Progress{{Topic: "x", Partition: 3, NextOffset: 7}}
	for _, table := range []string{"samples", "starts", "histograms", "exemplars", "metric_metadata", "series"} {
		if err := s.Exec(ctx, "DETACH TABLE "+table); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(ctx, b); err == nil || store.KindOf(err) == store.KindInvalid {
			t.Errorf("wrote without table %s: %v", table, err)
		}
		if at, err := s.Progress(ctx, "x", ""); err != nil || len(at) != 0 {
			t.Errorf("without table %s the progress is %v, %v", table, at, err)
		}
		if err := s.Exec(ctx, "ATTACH TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s, b)
	if at, err := s.Progress(ctx, "x", ""); err != nil || at[3] != 7 {
		t.Errorf("progress %v, %v", at, err)
	}
}

func TestTwoLabelSetsOfOneKeyAreRefused(t *testing.T) {
	s := open(t)
	b := batchOf("t", 1, labels.FromStrings("__name__", "m", "a", "1"))
	write(t, s, b)
	b.Series[0].Labels = labels.FromStrings("__name__", "m", "a", "2")
	write(t, s, b)
	err := s.Select(context.Background(), everything("t", equal("__name__", "m")), func(*store.SeriesData) error { return nil })
	if store.KindOf(err) != store.KindInvalid {
		t.Errorf("a collision of keys: %v", err)
	}
	if err := s.Optimize(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Series(context.Background(), everything("t", equal("__name__", "m"))); store.KindOf(err) != store.KindInvalid {
		t.Errorf("a collision of keys after a merge: %v", err)
	}
}

// With as few connections as there can be, many reads and writes at once all come to their end.
func TestOneConnectionIsEnough(t *testing.T) {
	cfg := configOf(t)
	cfg.MaxConnections = 1
	s := openWith(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var group errgroup.Group
	for i := range int64(12) {
		group.Go(func() error {
			if err := s.Write(ctx, batchOf("t", i, labels.FromStrings("__name__", "m"))); err != nil {
				return err
			}
			return s.Select(ctx, everything("t", equal("__name__", "m")), func(*store.SeriesData) error { return nil })
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
