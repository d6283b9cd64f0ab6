package rollup

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/metricstream/metricstream/store"
)

// Difference is where the tables do not have what raw makes of an hour.
type Difference struct {
	Tier  Tier
	Key   store.Key
	EndMs int64
	What  string
}

// String returns the difference as a line of text.
func (d Difference) String() string {
	return fmt.Sprintf("%s %08x-%016x %d: %s", d.Tier, d.Key.Metric, d.Key.ID, d.EndMs, d.What)
}

// VerifyTables is what [Verify] compares.
type VerifyTables interface {
	Source
	Ledger
	Auditor
}

// Verify folds an hour from raw and compares every field of every row with the tables. It reports the differences, and
// returns false where there is nothing to compare because the hour is not closed or waits to be folded again. In an hour that
// has lost samples the series are left out whose rows know of more samples than raw has.
func Verify(ctx context.Context, t VerifyTables, endMs int64, report func(Difference)) (bool, error) {
	states, err := t.Hours(ctx, Span{FromMs: endMs - 1, ToMs: endMs})
	if err != nil || len(states) == 0 || states[0].State != Closed {
		return false, err
	}
	marks, err := t.Marks(ctx, maxMarks)
	if err != nil || slices.ContainsFunc(marks, func(m Mark) bool { return m.EndMs == endMs }) {
		return false, err
	}
	expired, err := t.Expired(ctx)
	if err != nil {
		return false, err
	}
	for _, tier := range []Tier{Minute, Hour} {
		if !states[0].Tiers.Has(tier) {
			continue
		}
		if err := verifyTier(ctx, t, states[0], tier, Lost(expired, endMs), report); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Lost reports whether an hour has lost samples, by what [Source] says of days.
func Lost(expired map[int64][]uint8, endMs int64) bool { return len(expiredOf(expired, endMs)) > 0 }

func verifyTier(ctx context.Context, t VerifyTables, state HourState, tier Tier, lost bool, report func(Difference)) error {
	span := Span{FromMs: state.EndMs - hourMs, ToMs: state.EndMs}
	raw := newSource(func(emit func(*Series) error) error { return refold(ctx, t, state, tier, span, emit) })
	defer raw.stop()
	tables := newSource(func(emit func(*Series) error) error { return t.ReadRollups(ctx, tier, span, emit) })
	defer tables.stop()
	of := []*source{raw, tables}
	for _, s := range of {
		if err := s.next(); err != nil {
			return err
		}
	}
	none := &Series{}
	for next := smallest(nil, of); len(next) > 0; next = smallest(nil, of) {
		v := verifier{tier: tier, key: next[0].head.Key, want: none, have: none, report: report}
		for _, s := range next {
			if s == raw {
				v.want = s.head
			} else {
				v.have = s.head
			}
		}
		if !lost || v.have.samples() <= v.want.samples() {
			v.compare()
		}
		for _, s := range next {
			if err := s.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

// refold makes the rows of a tier anew.
func refold(ctx context.Context, t Source, state HourState, tier Tier, span Span, emit func(*Series) error) error {
	var folder Folder
	var b rowBatch
	return t.ReadRaw(ctx, span, nil, func(r *RawSeries) error {
		dense := len(r.TimesMs)+len(r.Histograms) >= int(state.MinSamples)
		if tier == Minute && !dense {
			return nil
		}
		b.reset()
		b.fold(&folder, r, tier)
		if tier == Hour && !dense && state.Tiers.Has(Minute) {
			b.flagLast(NoMinutes)
		}
		return emit(&Series{Key: r.Key, Rows: b.rows, Histograms: b.histograms})
	})
}

// verifier compares the rows of one series.
type verifier struct {
	tier       Tier
	key        store.Key
	want, have *Series
	report     func(Difference)
}

func (v *verifier) differ(endMs int64, format string, args ...any) {
	v.report(Difference{Tier: v.tier, Key: v.key, EndMs: endMs, What: fmt.Sprintf(format, args...)})
}

func (v *verifier) compare() {
	i := 0
	for j := range v.want.Rows.Len() {
		want := v.want.Rows.Row(j)
		for ; i < v.have.Rows.Len() && v.have.Rows.EndsMs[i] < want.EndMs; i++ {
			v.surplus(v.have.Rows.Row(i))
		}
		if i == v.have.Rows.Len() || v.have.Rows.EndsMs[i] != want.EndMs {
			v.differ(want.EndMs, "there is no row")
			continue
		}
		v.row(want, v.have.Rows.Row(i))
		i++
	}
	for ; i < v.have.Rows.Len(); i++ {
		v.surplus(v.have.Rows.Row(i))
	}
	v.compareHistograms()
}

// surplus looks at a row that raw does not make. One without samples may be left where histograms came after it.
func (v *verifier) surplus(have Row) {
	if have.N > 0 {
		v.differ(have.EndMs, "there is a row of %d samples, and none in raw", have.N)
	}
}

func (v *verifier) row(want, have Row) {
	for _, f := range []struct {
		name       string
		want, have int64
	}{
		{"n", int64(want.N), int64(have.N)}, {"flags", int64(want.Flags), int64(have.Flags)}, {"stale", want.StaleMs, have.StaleMs},
		{"first time", want.FirstMs, have.FirstMs}, {"last time", want.LastMs, have.LastMs}, {"prev time", want.PrevMs, have.PrevMs},
		{"first start", want.FirstStartMs, have.FirstStartMs}, {"last start", want.LastStartMs, have.LastStartMs},
		{"resets", int64(want.Resets), int64(have.Resets)}, {"changes", int64(want.Changes), int64(have.Changes)},
	} {
		if f.want != f.have {
			v.differ(want.EndMs, "%s is %d, and %d by raw", f.name, f.have, f.want)
		}
	}
	for _, f := range []struct {
		name       string
		want, have float64
	}{
		{"first", want.First, have.First}, {"last", want.Last, have.Last}, {"prev", want.Prev, have.Prev}, {"sum", want.Sum, have.Sum},
		{"min", want.Min, have.Min}, {"max", want.Max, have.Max}, {"comp", want.Comp, have.Comp},
	} {
		if math.Float64bits(f.want) != math.Float64bits(f.have) && !(f.want != f.want && f.have != f.have) {
			v.differ(want.EndMs, "%s is %v, and %v by raw", f.name, f.have, f.want)
		}
	}
	if !nearly(want.M2, have.M2) {
		v.differ(want.EndMs, "m2 is %v, and %v by raw", have.M2, want.M2)
	}
}

// nearly compares what tables may store without the last bits.
func nearly(a, b float64) bool {
	return a == b || a != a && b != b || math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b))
}

func (v *verifier) compareHistograms() {
	i := 0
	for j := range v.want.Histograms {
		want := &v.want.Histograms[j]
		for ; i < len(v.have.Histograms) && v.have.Histograms[i].EndMs < want.EndMs; i++ {
			v.surplusHistogram(&v.have.Histograms[i])
		}
		if i == len(v.have.Histograms) || v.have.Histograms[i].EndMs != want.EndMs {
			v.differ(want.EndMs, "there is no row of histograms")
			continue
		}
		v.histogram(want, &v.have.Histograms[i])
		i++
	}
	for ; i < len(v.have.Histograms); i++ {
		v.surplusHistogram(&v.have.Histograms[i])
	}
}

// surplusHistogram looks at a row that raw does not make. One may be left where floats came after it.
func (v *verifier) surplusHistogram(have *HistogramRow) {
	endMs := have.EndMs
	if have.Flags&Void != 0 {
		return
	}
	for i, end := range v.want.Rows.EndsMs {
		if end == endMs && v.want.Rows.Flags[i]&NeedsRaw != 0 {
			return
		}
	}
	v.differ(endMs, "there is a row of histograms, and none in raw")
}

func (v *verifier) histogram(want, have *HistogramRow) {
	for _, f := range []struct {
		name       string
		want, have int64
	}{
		{"n", int64(want.N), int64(have.N)}, {"flags", int64(want.Flags), int64(have.Flags)}, {"stale", want.StaleMs, have.StaleMs},
		{"first time", want.FirstMs, have.FirstMs}, {"last time", want.LastMs, have.LastMs}, {"prev time", want.PrevMs, have.PrevMs},
		{"first start", want.FirstStartMs, have.FirstStartMs}, {"last start", want.LastStartMs, have.LastStartMs},
		{"resets", int64(want.Resets), int64(have.Resets)}, {"changes", int64(want.Changes), int64(have.Changes)},
	} {
		if f.want != f.have {
			v.differ(want.EndMs, "%s of histograms is %d, and %d by raw", f.name, f.have, f.want)
		}
	}
	for _, f := range []struct {
		name       string
		want, have *histogram.FloatHistogram
	}{
		{"first", want.First, have.First}, {"last", want.Last, have.Last}, {"prev", want.Prev, have.Prev},
		{"sum", want.Sum, have.Sum}, {"comp", want.Comp, have.Comp},
	} {
		if (f.want == nil) != (f.have == nil) || f.want != nil && (!f.want.Equals(f.have) || f.want.CounterResetHint != f.have.CounterResetHint) {
			v.differ(want.EndMs, "%s is the histogram %v, and %v by raw", f.name, f.have, f.want)
		}
	}
}
