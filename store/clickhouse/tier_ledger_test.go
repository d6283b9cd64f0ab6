package clickhouse_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

func TestHoursAreWhatTheNewestFoldSaid(t *testing.T) {
	s, ctx := open(t), context.Background()
	const hour = int64(3_600_000)
	closing := rollup.HourState{EndMs: 10 * hour, State: rollup.Closing, Version: 7}
	closed := rollup.HourState{EndMs: 10 * hour, State: rollup.Closed, Version: 7, MinSamples: 360, Tiers: rollup.Hour.Set()}
	again := rollup.HourState{EndMs: 10 * hour, State: rollup.Closing, Version: 8}
	other := rollup.HourState{EndMs: -2 * hour, State: rollup.Closed, Version: 1}
	all := rollup.Span{FromMs: -100 * hour, ToMs: 100 * hour}
	for _, c := range []struct {
		set, want []rollup.HourState
	}{
		{nil, nil},
		{[]rollup.HourState{closed}, []rollup.HourState{closed}},
		{[]rollup.HourState{closing, other}, []rollup.HourState{other, closed}}, // the state before, recorded late
		{[]rollup.HourState{again}, []rollup.HourState{other, again}},
		{[]rollup.HourState{closed}, []rollup.HourState{other, again}}, // a fold that was held up
	} {
		if err := s.SetHours(ctx, c.set); err != nil {
			t.Fatal(err)
		}
		got, err := s.Hours(ctx, all)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Fatalf("after %+v (-want +got):\n%s", c.set, diff)
		}
	}
	got, err := s.Hours(ctx, rollup.Span{FromMs: -2 * hour, ToMs: 10*hour - 1})
	if err != nil || len(got) != 0 {
		t.Fatalf("hours between the two: %+v, %v", got, err)
	}
}

func TestClearingLeavesMarksThatCameLater(t *testing.T) {
	s, ctx := open(t), context.Background()
	a := rollup.Mark{EndMs: 3_600_000, Key: store.Key{Metric: 1, ID: 2}, Token: 5, WrittenMs: 1_700_000_000_001}
	b := a
	b.Token = 6
	whole := rollup.Mark{EndMs: 7_200_000, Token: 7, WrittenMs: 1_700_000_000_002}
	if err := s.WriteMarks(ctx, []rollup.Mark{whole, b, a}); err != nil {
		t.Fatal(err)
	}
	check := func(limit int, want ...rollup.Mark) {
		t.Helper()
		got, err := s.Marks(ctx, limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("marks (-want +got):\n%s", diff)
		}
	}
	check(10, a, b, whole)
	check(1, a)
	if err := s.ClearMarks(ctx, []rollup.Mark{a, whole}); err != nil {
		t.Fatal(err)
	}
	check(10, b)
	if err := s.WriteMarks(ctx, []rollup.Mark{a}); err != nil { // a flush that is written again
		t.Fatal(err)
	}
	check(10, b)
}

func TestReadRawReadsEverySeriesOnceInOrder(t *testing.T) {
	s, ctx := open(t), context.Background()
	rng := rand.New(rand.NewPCG(1, 1))
	begin := int64(20_000*dayMs + 3_600_000)
	want := map[store.Key]store.SeriesData{}
	var b store.Batch
	for i := range 300 {
		ls := labels.FromStrings("__name__", "m", "i", string(rune('a'+i%26)), "n", string(rune('a'+i/26)))
		k := store.KeyOf("t", ls)
		row := store.Series{Tenant: "t", Key: k, Labels: ls, MinMs: begin, MaxMs: begin + 3_600_000}
		var d store.SeriesData
		if i%3 != 1 {
			for at := begin - 30_000; at <= begin+3_700_000; at += 15_000 {
				dec, _ := store.DecimalOf(rng.Float64(), 0)
				b.Samples.Append(k, at, dec)
				if at > begin && at <= begin+3_600_000 {
					d.TimesMs, d.Values = append(d.TimesMs, at), append(d.Values, dec.Float())
				}
			}
		}
		if i%3 != 0 {
			row.Has |= store.HasHistograms
			for at := begin + 7_000; at < begin+3_600_000; at += 600_000 {
				h := &histogram.Histogram{Count: 3, Sum: float64(at % 1000), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{3}}
				b.Histograms = append(b.Histograms, store.Histogram{Key: k, TimeMs: at, Count: 3, Sum: h.Sum, Blob: store.AppendHistogram(nil, h)})
				d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: at, Int: h})
			}
		}
		if i%2 == 0 {
			row.Has |= store.HasStarts
			b.Starts = append(b.Starts, store.Start{Key: k, TimeMs: 5, StartMs: 1}, store.Start{Key: k, TimeMs: begin - 1, StartMs: 2},
				store.Start{Key: k, TimeMs: begin + 99, StartMs: 3}, store.Start{Key: k, TimeMs: begin + 3_600_001, StartMs: 4})
			d.Starts = []store.StartPoint{{TimeMs: begin - 1, StartMs: 2}, {TimeMs: begin + 99, StartMs: 3}}
		}
		b.Series = append(b.Series, row)
		want[k] = d
	}
	write(t, s, &b)
	span := rollup.Span{FromMs: begin, ToMs: begin + 3_600_000}
	read := func(keys []store.Key) map[store.Key]store.SeriesData {
		got := map[store.Key]store.SeriesData{}
		var last store.Key
		err := s.ReadRaw(ctx, span, keys, func(r *rollup.RawSeries) error {
			if len(got) > 0 && last.Compare(r.Key) >= 0 {
				t.Errorf("%v came after %v", r.Key, last)
			}
			last = r.Key
			got[r.Key] = store.SeriesData{TimesMs: slices.Clone(r.TimesMs), Values: slices.Clone(r.Values), Histograms: slices.Clone(r.Histograms), Starts: slices.Clone(r.Starts)}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(want, read(nil), bitEqual); diff != "" {
		t.Fatalf("all series (-written +read):\n%s", diff)
	}
	var some []store.Key
	for k := range want {
		if k.ID%5 == 0 {
			some = append(some, k)
		}
	}
	slices.SortFunc(some, store.Key.Compare)
	got := read(some)
	if len(got) != len(some) {
		t.Fatalf("%d of %d series", len(got), len(some))
	}
	for k := range got {
		if diff := cmp.Diff(want[k], got[k], bitEqual); diff != "" {
			t.Fatalf("series %v (-written +read):\n%s", k, diff)
		}
	}
}

func TestCoverageIsTheClosedHoursWithoutMarks(t *testing.T) {
	s, ctx := open(t), context.Background()
	const hour = int64(3_600_000)
	day := int64(20_000 * dayMs)
	tierSeries(t, s, rand.New(rand.NewPCG(1, 1)), 1, rollup.Hour)
	k := store.Key{Metric: 1, ID: 1}
	var b store.Batch
	b.Samples.Append(k, day+5*hour, store.Decimal{Mant: 1})
	write(t, s, &b)
	var rows rollup.Rows
	randomRow(rand.New(rand.NewPCG(2, 2)), &rows, day+hour, hour, 0)
	if err := s.WriteRollups(ctx, &rollup.Batch{Tier: rollup.Hour, Version: 1, Series: []rollup.Series{{Key: k, Rows: rows}}}); err != nil {
		t.Fatal(err)
	}
	var states []rollup.HourState
	for i := int64(1); i <= 6; i++ {
		states = append(states, rollup.HourState{EndMs: day + i*hour, State: rollup.Closed, Version: 1, Tiers: rollup.Minute.Set() | rollup.Hour.Set()})
	}
	states[4].State = rollup.Closing
	states[5].Tiers = rollup.Minute.Set() // the tier of hours was off
	if err := s.SetHours(ctx, states); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteMarks(ctx, []rollup.Mark{{EndMs: day + 3*hour, Key: k, Token: 1, WrittenMs: 1}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Coverage(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	spans := []rollup.Span{{FromMs: day, ToMs: day + 2*hour}, {FromMs: day + 3*hour, ToMs: day + 4*hour}, {FromMs: day + 5*hour, ToMs: day + 6*hour}}
	if diff := cmp.Diff(spans, got[rollup.Minute]); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(spans[:2], got[rollup.Hour]); diff != "" {
		t.Errorf("hours (-want +got):\n%s", diff)
	}
	if raw := got[rollup.Raw]; len(raw) != 1 || raw[0].FromMs != day {
		t.Errorf("raw is %+v, want from %d", raw, day)
	}
	days, err := s.Days(ctx)
	if err != nil || !slices.Equal(days, []int64{day}) {
		t.Errorf("days are %v, %v; want %d", days, err, day)
	}
}

func TestProgressOfTiersIsOfOneGeneration(t *testing.T) {
	s, ctx := open(t), context.Background()
	write(t, s, &store.Batch{Progress: []store.Progress{
		{Topic: "a", Generation: "g1", Partition: 0, NextOffset: 900, MaxMs: 9},
		{Topic: "a", Generation: "g2", Partition: 1, NextOffset: 5, MaxMs: 50},
		{Topic: "a", Generation: "g2", Partition: 0, NextOffset: 7, MaxMs: 70},
		{Topic: "b", Generation: "g2", Partition: 0, NextOffset: 8, MaxMs: 80},
	}})
	got, err := s.Tiers("a", "g2").Progress(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Progress{{Topic: "a", Generation: "g2", Partition: 0, NextOffset: 7, MaxMs: 70}, {Topic: "a", Generation: "g2", Partition: 1, NextOffset: 5, MaxMs: 50}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

var _ rollup.Tables = (*clickhouse.Tiers)(nil)
