package clickhouse_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

// TestTheJanitorKeepsWhatThePoliciesSay lets days pass over samples of two classes, with rows of tiers for one of two
// series.
func TestTheJanitorKeepsWhatThePoliciesSay(t *testing.T) {
	s, ctx := open(t), context.Background()
	const first, days = int64(20_000), 10
	d := model.Duration(24 * time.Hour)
	policies := retention.NewPolicies(retention.Config{
		Policy:  retention.Policy{Raw: 2 * d, Minute: 5 * d, Hour: 40 * d},
		Classes: map[uint8]retention.Class{9: {Policy: retention.Policy{Raw: 8 * d}, Tenants: []string{"long"}}},
	})
	ls := labels.FromStrings("__name__", "m")
	dense, sparse := store.Key{Metric: 1, ID: 1}, store.Key{Metric: 1, ID: 2}
	for day := first; day < first+days; day++ {
		for _, class := range []uint8{0, 9} {
			b := store.Batch{Class: class, Series: []store.Series{{Tenant: fmt.Sprint(class), Key: dense, Labels: ls, MinMs: day * dayMs, MaxMs: day * dayMs}}}
			for at := day*dayMs + 1000; at < (day+1)*dayMs; at += 3_600_000 {
				b.Samples.Append(dense, at, store.Decimal{Mant: at})
				b.Samples.Append(sparse, at, store.Decimal{Mant: at})
			}
			b.Exemplars = []store.Exemplar{{Key: dense, TimeMs: day * dayMs}}
			write(t, s, &b)
		}
		for tier := rollup.Minute; tier <= rollup.Hour; tier++ {
			var rows rollup.Rows
			for end := day*dayMs + 3_600_000; end <= (day+1)*dayMs; end += 3_600_000 {
				randomRow(rand.New(rand.NewPCG(1, 1)), &rows, end, tier.StepMs(), 0)
			}
			for i := range rows.Flags {
				rows.Flags[i] &^= rollup.NeedsRaw | rollup.Void
			}
			batch := &rollup.Batch{Tier: tier, Version: 1, Series: []rollup.Series{{Key: dense, Rows: rows}}}
			if err := s.WriteRollups(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	var states []rollup.HourState
	for end := (first - 1) * dayMs; end <= (first+days)*dayMs; end += 3_600_000 {
		states = append(states, rollup.HourState{EndMs: end, State: rollup.Closed, Version: 1, Tiers: rollup.Minute.Set() | rollup.Hour.Set()})
	}
	open := states[30] // of the first day's hours
	open.State = rollup.Closing
	open.Version++
	if err := s.SetHours(ctx, append(states, open)); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "TRUNCATE TABLE rollup_marks"); err != nil { // nobody has written for a while
		t.Fatal(err)
	}
	now := time.UnixMilli((first + days) * dayMs)
	janitor := retention.NewJanitor(policies, s, retention.Options{Now: func() time.Time { return now }})
	check := func(want map[string]uint64) {
		t.Helper()
		for range 2 { // sweeping again changes nothing
			if err := janitor.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			got := map[string]uint64{}
			for what, of := range map[string]string{
				"dense": "samples WHERE class = 0 AND id = 1", "sparse": "samples WHERE class = 0 AND id = 2", "class 9": "samples WHERE class = 9",
				"exemplars": "exemplars WHERE class = 0", "minutes": "rollup_1m", "hours": "rollup_1h",
			} {
				var n uint64
				if err := s.Scan(ctx, "SELECT count() FROM "+of, &n); err != nil {
					t.Fatal(err)
				}
				got[what] = n
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("rows (-want +got):\n%s", diff)
			}
		}
	}
	// Raw of two days, that of the sparse series of five; class 9 has no tiers and eight days; partitions of hours are
	// months.
	// The first day stays until all of it is folded.
	check(map[string]uint64{"dense": 3 * 24, "sparse": 6 * 24, "class 9": 8 * 2 * 24, "exemplars": 2, "minutes": 5 * 24, "hours": 10 * 24})
	open.State = rollup.Closed
	if err := s.SetHours(ctx, []rollup.HourState{open}); err != nil {
		t.Fatal(err)
	}
	check(map[string]uint64{"dense": 2 * 24, "sparse": 5 * 24, "class 9": 8 * 2 * 24, "exemplars": 2, "minutes": 5 * 24, "hours": 10 * 24})
	c, err := s.Coverage(ctx, "anybody")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c[rollup.Raw][0].FromMs, (first+days-2)*dayMs; got != want {
		t.Errorf("raw is complete from %d, want %d", got, want)
	}
	now = now.Add(24 * time.Hour)
	check(map[string]uint64{"dense": 24, "sparse": 4 * 24, "class 9": 7 * 2 * 24, "exemplars": 1, "minutes": 4 * 24, "hours": 10 * 24})
	now = now.Add(100 * 24 * time.Hour)
	check(map[string]uint64{"dense": 0, "sparse": 0, "class 9": 0, "exemplars": 0, "minutes": 0, "hours": 0})
	var left uint64
	for wait := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if err := s.Scan(ctx, "SELECT count() FROM series", &left); err != nil || left == 0 || time.Now().After(wait) {
			break
		}
	}
	if left != 0 {
		t.Errorf("%d rows of series are left", left)
	}
}

var _ retention.Partitions = (*clickhouse.Store)(nil)
