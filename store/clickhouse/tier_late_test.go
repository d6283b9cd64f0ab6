package clickhouse_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// TestTakingOverADayOpensItsHours: rows that were folded of what was in the tables before are not believed, and folded again.
func TestTakingOverADayOpensItsHours(t *testing.T) {
	for name, take := range map[string]func(*clickhouse.Shadow, context.Context, clickhouse.Day) error{
		"add": (*clickhouse.Shadow).Add, "replace": (*clickhouse.Shadow).Replace,
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := startShadowed(t, open(t)), t.Context()
			begin := shadowDay.MinMs()
			k := store.KeyOf("t", s.b)
			s.exec(t, fmt.Sprintf("INSERT INTO samples (metric, id, ts, exp, mant) VALUES (%[1]d, %[2]d, %[3]d, 0, 1), (%[1]d, %[4]d, %[3]d, 0, 1)", k.Metric, k.ID, begin+1_800_000, k.ID+1))
			d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: s.live})
			if err := d.FoldHours(ctx, rollup.Span{FromMs: begin, ToMs: begin + 3_600_000}, func(int64) {}); err != nil {
				t.Fatal(err)
			}
			marks := func() int {
				t.Helper()
				marks, err := s.live.Marks(ctx, 1000)
				if err != nil {
					t.Fatal(err)
				}
				of := map[int64]bool{}
				for _, m := range marks {
					of[m.EndMs] = true
				}
				return len(of)
			}
			if n := marks(); n > 1 { // the samples at midnight are the hour's before, which was not folded
				t.Fatalf("%d hours are marked after the fold", n)
			}
			if err := take(s.shadow, ctx, shadowDay); err != nil {
				t.Fatal(err)
			}
			if n := marks(); n != 25 {
				t.Errorf("%d hours are marked, want those of the day and the one that ends where it begins", n)
			}
			d.Now = func() int64 { return time.Now().Add(time.Minute).UnixMilli() }
			running, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- d.Run(running) }()
			for marks() > 0 {
				time.Sleep(50 * time.Millisecond)
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			closed, err := rollup.Verify(ctx, s.live, begin+3_600_000, func(d rollup.Difference) { t.Error(d) })
			if err != nil || !closed {
				t.Errorf("the hour is closed: %v, %v", closed, err)
			}
		})
	}
}
