package rollup_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
)

// world is a store with tiers, a clock and a log.
type world struct {
	*testing.T
	nowMs  int64
	tables tables
	parts  []rollup.Partition
	kinds  []string // to write; none is all
}

// tables is a store with tiers.
type tables interface {
	rollup.Tables
	rollup.Auditor
	store.Writer
	SelectRollups(ctx context.Context, s rollup.Selection, yield func(*rollup.Series) error) error
	Coverage(ctx context.Context, tenant string) (rollup.Coverage, error)
	store.Reader
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, nowMs: beginMs + 10*hour}
	w.tables = memory.NewTiers(func() int64 { return w.nowMs })
	return w
}

// Partitions implements rollup.Log.
func (w *world) Partitions(context.Context) ([]rollup.Partition, error) { return w.parts, nil }

// writeInTime writes as if the samples came when they were taken.
func (w *world) writeInTime(seed uint64, hours int64) {
	w.Helper()
	now := w.nowMs
	w.nowMs = beginMs - hour
	w.write(seed, hours)
	w.nowMs = now
}

// write writes random series of all kinds.
func (w *world) write(seed uint64, hours int64) {
	w.Helper()
	var b store.Batch
	for name, fill := range kinds {
		if w.kinds != nil && !slices.Contains(w.kinds, name) {
			continue
		}
		var d store.SeriesData
		fill(newRandom(seed), &d, hours)
		addSeries(&b, labels.FromStrings("__name__", "m", "kind", name), &d)
	}
	if err := w.tables.Write(context.Background(), &b); err != nil {
		w.Fatal(err)
	}
}

func addSeries(b *store.Batch, ls labels.Labels, d *store.SeriesData) {
	key := store.KeyOf(store.DefaultTenant, ls)
	one := store.Series{Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: math.MaxInt64, Has: store.HasHistograms | store.HasStarts}
	at := func(t int64) { one.MinMs, one.MaxMs = min(one.MinMs, t), max(one.MaxMs, t) }
	for i, t := range d.TimesMs {
		at(t)
		v, _ := store.DecimalOf(d.Values[i], 0)
		b.Samples.Append(key, t, v)
	}
	for _, p := range d.Histograms {
		at(p.TimeMs)
		h := store.Histogram{Key: key, TimeMs: p.TimeMs}
		if p.Int != nil {
			h.Count, h.Sum, h.Blob = float64(p.Int.Count), p.Int.Sum, store.AppendHistogram(nil, p.Int)
		} else {
			h.Count, h.Sum, h.Blob = p.Float.Count, p.Float.Sum, store.AppendFloatHistogram(nil, p.Float)
		}
		b.Histograms = append(b.Histograms, h)
	}
	b.Series = append(b.Series, one)
	for _, s := range d.Starts {
		b.Starts = append(b.Starts, store.Start{Key: key, TimeMs: s.TimeMs, StartMs: s.StartMs})
	}
}

func (w *world) downsampler(tables rollup.Tables) *rollup.Downsampler {
	return rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: tables, Log: w, Now: func() int64 { return w.nowMs }})
}

// cycle lets a downsampler look for hours once.
func (w *world) cycle() {
	w.Helper()
	if err := w.downsampler(w.tables).Cycle(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// verify compares the closed hours with raw, and returns how many there are.
func (w *world) verify() int {
	w.Helper()
	closed := 0
	for end := int64(beginMs); end <= w.nowMs+hour; end += hour {
		ok, err := rollup.Verify(context.Background(), w.tables, end, func(d rollup.Difference) { w.Errorf("hour %d: %s", (end-beginMs)/hour, d) })
		if err != nil {
			w.Fatal(err)
		}
		if ok {
			closed++
		}
	}
	return closed
}

func (w *world) coverage(tier rollup.Tier) []rollup.Span {
	w.Helper()
	c, err := w.tables.Coverage(context.Background(), store.DefaultTenant)
	if err != nil {
		w.Fatal(err)
	}
	return c[tier]
}

func selection(tier rollup.Tier, span rollup.Span) rollup.Selection {
	return rollup.Selection{
		Selection: store.Selection{Tenant: store.DefaultTenant, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}},
		Tier:      tier, Columns: rollup.AllColumns,
	}
}

// stitched compares what a Stitch reads of a span with rows folded from raw alone, and returns what it read.
func (w *world) stitched(tier rollup.Tier, span rollup.Span) rollup.Read {
	w.Helper()
	ctx := context.Background()
	s := rollup.NewStitch(w.tables, w.tables)
	sel := selection(tier, span)
	sel.Read = &rollup.Read{}
	got := map[store.Key]*rollup.Series{}
	last := store.Key{}
	err := s.SelectSpan(ctx, sel, span, func(one *rollup.Series) error {
		if one.Key.Compare(last) <= 0 {
			w.Errorf("series %v comes after %v", one.Key, last)
		}
		last = one.Key
		c := &rollup.Series{Key: one.Key, Labels: one.Labels, Histograms: append([]rollup.HistogramRow(nil), one.Histograms...)}
		c.Rows.AppendRows(&one.Rows, 0, one.Rows.Len())
		got[c.Key] = c
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	var f rollup.Folder
	want := map[store.Key]*rollup.Series{}
	raw := sel.Selection
	raw.MinMs, raw.MaxMs = span.FromMs+1, span.ToMs
	if err := w.tables.Select(ctx, raw, func(d *store.SeriesData) error {
		one := &rollup.Series{Key: d.Key, Labels: d.Labels}
		f.Fold(one, d, tier, rollup.AllColumns)
		want[d.Key] = one
		return nil
	}); err != nil {
		w.Fatal(err)
	}
	for _, m := range []map[store.Key]*rollup.Series{got, want} {
		for _, one := range m {
			for i := range one.Rows.Flags {
				one.Rows.Flags[i] &^= rollup.NoMinutes
			}
			for i := range one.Histograms {
				one.Histograms[i].Flags &^= rollup.NoMinutes
			}
			if len(one.Histograms) == 0 {
				one.Histograms = nil
			}
		}
	}
	if diff := cmp.Diff(want, got, near, cmp.Comparer(func(a, b labels.Labels) bool { return labels.Equal(a, b) })); diff != "" {
		w.Errorf("%s rows in (%d, %d]: raw (-) and stitched (+):\n%.3000s", tier, span.FromMs-beginMs, span.ToMs-beginMs, diff)
	}
	return *sel.Read
}

// stitchedAnywhere does so for spans of all sorts.
func (w *world) stitchedAnywhere(r random) {
	w.Helper()
	w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 12*hour})
	w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 12*hour})
	for range 4 {
		for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
			from := beginMs + r.Int64N(5*hour)
			span := rollup.Span{FromMs: from, ToMs: from + 1 + r.Int64N(5*hour)}
			if r.IntN(2) == 0 {
				span.FromMs, span.ToMs = rollup.EndMs(span.FromMs, tier.StepMs()), rollup.EndMs(span.ToMs, tier.StepMs())
			}
			w.stitched(tier, span)
		}
	}
}

// TestHoursAreClosedAndAnswerAsRaw: from open hours through late samples, the stitched rows are always those of raw.
func TestHoursAreClosedAndAnswerAsRaw(t *testing.T) {
	w, r := newWorld(t), newRandom(3)
	w.kinds = []string{"counter starts", "gauge", "histogram", "custom histogram", "mixed"}
	w.nowMs = beginMs + 4*hour + rollup.GraceMs - 1
	w.writeInTime(1, 6)
	w.stitchedAnywhere(r)
	w.cycle()
	if n := w.verify(); n != 4 {
		t.Errorf("%d hours are closed, want the first one, whose end the series begin at, and the three that are over for two minutes", n)
	}
	w.stitchedAnywhere(r)

	w.nowMs += 1
	w.cycle()
	if n := w.verify(); n != 5 {
		t.Errorf("%d hours are closed, want 5", n)
	}
	w.stitchedAnywhere(r)

	w.nowMs = beginMs + 9*hour
	w.write(2, 3) // late into three hours and their edge
	for _, covered := range w.coverage(rollup.Hour) {
		if covered.FromMs < beginMs+3*hour && covered.ToMs > beginMs {
			t.Errorf("covered after late samples: %v", w.coverage(rollup.Hour))
		}
	}
	w.stitchedAnywhere(r)
	w.cycle()
	for _, covered := range w.coverage(rollup.Hour) {
		if covered.FromMs < beginMs+3*hour && covered.ToMs > beginMs {
			t.Errorf("hours with fresh marks are folded at once: %v", w.coverage(rollup.Hour))
		}
	}
	w.nowMs += 60_000
	w.cycle()
	if diff := cmp.Diff(w.coverage(rollup.Minute), w.coverage(rollup.Hour)); diff != "" || len(w.coverage(rollup.Hour)) != 1 {
		t.Errorf("not all is covered: %v", w.coverage(rollup.Hour))
	}
	w.verify()
	w.stitchedAnywhere(r)
	if read := w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs, ToMs: beginMs + 4*hour}); read.Samples != 0 || read.Rows == 0 {
		t.Errorf("read %+v where the tier has all", read)
	}
}

// TestWatermark: a partition that is behind keeps hours open; one that is read to its end does not.
func TestWatermark(t *testing.T) {
	w := newWorld(t)
	w.writeInTime(1, 3)
	for _, tc := range []struct {
		behind rollup.Partition
		want   int
	}{
		{rollup.Partition{Next: 5, End: 6, MaxMs: beginMs + hour + rollup.GraceMs - 1}, 1},
		{rollup.Partition{Next: 5, End: 6, MaxMs: beginMs + hour + rollup.GraceMs}, 2},
		{rollup.Partition{Next: 6, End: 6, MaxMs: beginMs}, 10},
	} {
		w.parts = []rollup.Partition{tc.behind, {Next: 3, End: 4, MaxMs: beginMs + 100*hour}}
		w.cycle()
		if n := w.verify(); n != tc.want {
			t.Errorf("%d hours are closed with %+v, want %d", n, tc.behind, tc.want)
		}
	}
}

// TestOnlyTheOwnerFolds: who is not the owner does nothing.
func TestOnlyTheOwnerFolds(t *testing.T) {
	w := newWorld(t)
	w.writeInTime(1, 1)
	d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: w.tables, Log: w, Owner: func() bool { return false }})
	if err := d.Cycle(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := w.verify(); n != 0 {
		t.Errorf("%d hours are closed", n)
	}
}

// TestTiersThatAreSwitchedOn: hours that lack a tier are folded again, and are not covered by it before.
func TestTiersThatAreSwitchedOn(t *testing.T) {
	w := newWorld(t)
	w.kinds = []string{"counter", "histogram"}
	w.writeInTime(1, 3)
	for _, tc := range []struct {
		tiers         rollup.Tiers
		minutes, hour bool
	}{
		{rollup.Minute.Set(), true, false},
		{rollup.Hour.Set(), false, true},
		{rollup.Minute.Set() | rollup.Hour.Set(), true, true},
	} {
		d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: w.tables, Log: w, Tiers: tc.tiers, Now: func() int64 { return w.nowMs }})
		if err := d.Cycle(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.verify()
		if (w.coverage(rollup.Minute) != nil) != tc.minutes || (w.coverage(rollup.Hour) != nil) != tc.hour {
			t.Errorf("tiers %b: covered are %v and %v", tc.tiers, w.coverage(rollup.Minute), w.coverage(rollup.Hour))
		}
		w.stitchedAnywhere(newRandom(1))
	}
}

// failing fails at one of the calls, before or after it was done.
type failing struct {
	tables
	at    int
	after bool
	calls int
}

var errKilled = errors.New("killed")

func (f *failing) step(do func() error) error {
	f.calls++
	if f.calls == f.at && !f.after {
		return errKilled
	}
	err := do()
	if f.calls == f.at && err == nil {
		err = errKilled
	}
	return err
}

func (f *failing) SetHours(ctx context.Context, s []rollup.HourState) error {
	return f.step(func() error { return f.tables.SetHours(ctx, s) })
}

func (f *failing) ClearMarks(ctx context.Context, m []rollup.Mark) error {
	return f.step(func() error { return f.tables.ClearMarks(ctx, m) })
}

func (f *failing) WriteRollups(ctx context.Context, b *rollup.Batch) error {
	return f.step(func() error { return f.tables.WriteRollups(ctx, b) })
}

// TestKilledAnywhere: whatever step was the last one, nothing wrong is covered then, and the next fold makes it good.
func TestKilledAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.kinds = []string{"counter starts", "histogram", "mixed"}
			w.nowMs = beginMs + hour + rollup.GraceMs
			w.writeInTime(1, 1)
			w.cycle()
			w.write(2, 1)
			w.nowMs += 60_000
			f := &failing{tables: w.tables, at: at, after: after}
			if err := w.downsampler(f).Cycle(context.Background()); err != nil {
				reached = true
			}
			w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
			w.cycle()
			w.verify()
			if n := len(w.coverage(rollup.Hour)); n != 1 {
				t.Errorf("killed at step %d: %d spans are covered in the end", at, n)
			}
			w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
		}
		if !reached {
			if at < 5 {
				t.Errorf("a fold has only %d steps", at)
			}
			return
		}
	}
}

// slow stops before its first write of rows, and lets others go first.
type slow struct {
	tables
	meanwhile func()
}

func (s *slow) WriteRollups(ctx context.Context, b *rollup.Batch) error {
	// The first hour has only what lies on its end.
	if rows := &b.Series[0].Rows; s.meanwhile != nil && rows.Len() > 0 && rows.EndsMs[0] > beginMs {
		f := s.meanwhile
		s.meanwhile = nil
		f()
	}
	return s.tables.WriteRollups(ctx, b)
}

// TestZombie: a fold that writes long after another one has seen more changes nothing, and cannot hide that samples came
// that it has not seen.
func TestZombie(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world){
		"late samples": func(w *world) { w.write(2, 1) },
		"late samples, and a fold that does not know of them": func(w *world) {
			w.write(2, 1)
			w.cycle()
		},
		"late samples, and a fold that does": func(w *world) {
			w.write(2, 1)
			w.nowMs += 60_000
			w.cycle()
			w.cycle()
		},
		"a fold, and late samples": func(w *world) {
			w.nowMs += 60_000
			w.cycle()
			w.write(2, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.kinds = []string{"counter starts", "histogram", "mixed"}
			w.writeInTime(1, 1)
			zombie := &slow{tables: w.tables, meanwhile: func() { meanwhile(w) }}
			if err := w.downsampler(zombie).Cycle(context.Background()); err != nil {
				t.Fatal(err)
			}
			w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
			w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs - hour, ToMs: beginMs + 3*hour})
			w.nowMs += 60_000
			w.cycle()
			if n := w.verify(); n == 0 || len(w.coverage(rollup.Hour)) != 1 {
				t.Errorf("%d hours are closed, covered are %v", n, w.coverage(rollup.Hour))
			}
		})
	}
}

// TestVerifyFindsDifferences: what is wrong in the tables is told, field by field.
func TestVerifyFindsDifferences(t *testing.T) {
	w := newWorld(t)
	w.writeInTime(1, 1)
	w.cycle()
	ctx := context.Background()
	var wrong []rollup.Series
	if err := w.tables.ReadRollups(ctx, rollup.Hour, rollup.Span{FromMs: beginMs, ToMs: beginMs + hour}, func(s *rollup.Series) error {
		if s.Rows.Len() > 0 {
			s.Rows.Resets[0]++
			s.Rows.N[0]++
			wrong = append(wrong, *s)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.tables.WriteRollups(ctx, &rollup.Batch{Tier: rollup.Hour, Version: 99, Series: wrong[:1]}); err != nil {
		t.Fatal(err)
	}
	wrong[0].Key.ID++
	if err := w.tables.WriteRollups(ctx, &rollup.Batch{Tier: rollup.Hour, Version: 99, Series: wrong[:1]}); err != nil {
		t.Fatal(err)
	}
	var found []string
	if _, err := rollup.Verify(ctx, w.tables, beginMs+hour, func(d rollup.Difference) { found = append(found, d.String()) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 {
		t.Errorf("differences are %q, want n, resets and a row too many", found)
	}
}
