package tiered_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
)

// TestUnalignedWindowOverExpiredRaw: a long window that begins inside a bucket whose raw samples have expired is answered
// from the bucket's end on, exactly as if no sample were there before, and a warning names the tier and the time that is missing.
func TestUnalignedWindowOverExpiredRaw(t *testing.T) {
	const begin, expiredMs = 2*hourMs + 20*minuteMs + 12_345, 6 * hourMs
	for _, c := range []struct {
		minutes []rollup.Span
		tier    string
		seenMs  int64 // from when on samples are seen
	}{
		{[]rollup.Span{{FromMs: baseMs, ToMs: baseMs + spanMs}}, "1m", 2*hourMs + 21*minuteMs},
		{nil, "1h", 3 * hourMs},
	} {
		all := randomBatch(rand.New(rand.NewPCG(7, 8)))
		s, visible := memory.New(), memory.New()
		tiers := &tiertest.Reader{Store: s, Covered: rollup.Coverage{
			{{FromMs: baseMs + expiredMs, ToMs: 1 << 60}}, c.minutes, {{FromMs: baseMs, ToMs: baseMs + spanMs}},
		}}
		if err := s.Write(context.Background(), all); err != nil {
			t.Fatal(err)
		}
		if err := visible.Write(context.Background(), since(all, baseMs+c.seenMs)); err != nil {
			t.Fatal(err)
		}
		e := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
		stock := promql.NewEngine(promql.DefaultConfig(), nil, nil)
		q := query{expr: "increase(counter_total[7h])", startMs: baseMs + begin + 7*hourMs}
		q.endMs = q.startMs
		// What has expired is gone from raw too.
		left := memory.New()
		if err := left.Write(context.Background(), since(all, baseMs+expiredMs)); err != nil {
			t.Fatal(err)
		}
		got := q.run(t, t.Context(), e, adapter.NewTieredQueryable(left, rollup.NewStitch(tiers, left), adapter.Limits{}))
		if got.plan.Selectors[0].Tier.String() != c.tier || len(got.points) == 0 {
			t.Fatalf("%d series are answered from %s, wanted %s", len(got.points), got.plan.Selectors[0].Tier, c.tier)
		}
		var named []string
		for _, text := range got.annotations {
			if strings.Contains(text, "have expired, which it needs beside tier "+c.tier) {
				named = append(named, text)
			}
		}
		if len(named) != 1 {
			t.Errorf("the annotations are %q: one should name tier %s", got.annotations, c.tier)
		}
		want := q.run(t, t.Context(), stock, adapter.NewQueryable(visible, adapter.Limits{}))
		got.annotations, want.annotations = nil, nil
		if d := differences(want, got, 1e-12); len(d) > 0 {
			t.Errorf("tier %s: %s", c.tier, strings.Join(d, "\n"))
		}
	}
}

// since leaves out the float samples until a time.
func since(b *store.Batch, untilMs int64) *store.Batch {
	out := &store.Batch{Series: b.Series, Starts: b.Starts}
	for i, at := range b.Samples.TimesMs {
		if at > untilMs {
			out.Samples.Append(store.Key{Metric: b.Samples.Metrics[i], ID: b.Samples.IDs[i]}, at, store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]})
		}
	}
	return out
}
