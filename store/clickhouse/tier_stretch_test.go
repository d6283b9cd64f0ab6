package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// yearOfHours writes hours of series of two metrics over more than a year, some of which begin late or end early, and some
// rows of which are replaced by a later fold. It returns what is to be read.
func yearOfHours(t *testing.T, write func(*rollup.Batch), register func([]store.Series)) []rollup.Series {
	t.Helper()
	const days, hourMs = 400, 3_600_000
	begin, rng := int64(20_000*dayMs), rand.New(rand.NewPCG(5, 6))
	var known []store.Series
	var old, all []rollup.Series
	for i := range 12 {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%2), "i", fmt.Sprint(i))
		one := rollup.Series{Key: store.KeyOf(tierTenant, ls), Labels: ls}
		replaced := rollup.Series{Key: one.Key}
		for h := int64(1 + i*300); h <= int64(days*24-(i%3)*2500); h++ {
			end := begin + h*hourMs
			if i > 3 && h%37 == 0 { // the series before them are read without versions
				randomRow(rng, &replaced.Rows, end, hourMs, 0)
			}
			randomRow(rng, &one.Rows, end, hourMs, i%4)
		}
		known = append(known, store.Series{Tenant: tierTenant, Key: one.Key, Labels: ls, MinMs: begin, MaxMs: begin + days*dayMs, Has: store.HasStarts})
		old, all = append(old, replaced), append(all, one)
	}
	register(known)
	sortSeries(old)
	sortSeries(all)
	write(&rollup.Batch{Tier: rollup.Hour, Version: 2, Series: all})
	write(&rollup.Batch{Tier: rollup.Hour, Version: 1, Series: old})
	return all
}

// TestAYearIsReadInOrder: the stretches that a year is read in are put together to the rows that were written, once each.
func TestAYearIsReadInOrder(t *testing.T) {
	s := open(t)
	want := yearOfHours(t, func(b *rollup.Batch) {
		if err := s.WriteRollups(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}, func(list []store.Series) { write(t, s, &store.Batch{Series: list}) })
	sel := rollup.Selection{Tier: rollup.Hour, Columns: rollup.AllColumns, Selection: store.Selection{
		Tenant: tierTenant, MinMs: 20_000*dayMs + 1, MaxMs: 20_400 * dayMs,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m.*")},
	}}
	if diff := cmp.Diff(want, selectTier(t, s, sel), bitEqual); diff != "" {
		t.Errorf("rows differ (-written +read):\n%s", diff)
	}
	var rows int
	for _, one := range want {
		rows += one.Rows.Len()
	}
	sel.MaxSamples = rows + rows/37 // what was replaced counts, and little is read twice
	if got := selectTier(t, s, sel); len(got) != len(want) {
		t.Errorf("%d series within the limit, want %d", len(got), len(want))
	}
	sel.MaxSamples = 0
	readInWindows(t, s, sel, want)
	stop := errors.New("enough")
	seen := 0
	err := s.SelectRollups(context.Background(), sel, func(*rollup.Series) error {
		seen++
		return stop
	})
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("%d series were read on, after which the error is %v", seen, err)
	}
	sel.MaxSamples = 20_000
	err = s.SelectRollups(context.Background(), sel, func(*rollup.Series) error { return nil })
	if store.KindOf(err) != store.KindLimit {
		t.Errorf("a selection of more rows than allowed: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	sel.MaxSamples = 0
	err = s.SelectRollups(ctx, sel, func(*rollup.Series) error { cancel(); return nil })
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a selection that was cancelled, if not after the last block: %v", err)
	}
}

// readInWindows reads only the rows of windows that are apart.
func readInWindows(t *testing.T, s *clickhouse.Store, sel rollup.Selection, all []rollup.Series) {
	const hourMs = 3_600_000
	const stepMs = 7 * hourMs
	for _, rangeMs := range []int64{hourMs / 2, hourMs, 2 * hourMs, 5*hourMs + hourMs/2, stepMs, stepMs + hourMs} {
		sel.Windows = rollup.Windows{FirstMs: 20_100*dayMs + 3*hourMs, StepMs: stepMs, RangeMs: rangeMs}
		var want []rollup.Series
		for _, one := range all {
			in := rollup.Series{Key: one.Key, Labels: one.Labels}
			for i, end := range one.Rows.EndsMs {
				ago := (sel.Windows.FirstMs - end) % stepMs
				if ago < 0 {
					ago += stepMs
				}
				if ago < rangeMs {
					in.Rows.AppendRows(&one.Rows, i, i+1)
				}
			}
			want = append(want, in)
		}
		if diff := cmp.Diff(want, selectTier(t, s, sel), bitEqual); diff != "" {
			t.Errorf("windows of %d ms: rows differ (-written +read):\n%s", rangeMs, diff)
		}
	}
}
