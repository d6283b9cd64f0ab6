package tiered_test

import (
	"context"
	"runtime"
	runtimemetrics "runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

const monthMs = 30 * 24 * hourMs

// BenchmarkMonth is sum by (job) (rate(x[1h])) over 30 days of 1,000 series, scraped every 15 s, from raw and from what the
// planner chooses, over the same tables in the same run. It writes and folds 172.8 million samples first.
func BenchmarkMonth(b *testing.B) {
	s := openClickHouse(b)
	list := counters(1000, baseMs, baseMs+monthMs)
	batch := &store.Batch{Series: slices.Clone(list)}
	const block = 6 * hourMs
	for from := int64(baseMs); from < baseMs+monthMs; from += block {
		for _, one := range list {
			for at := from + 7_000; at < from+block; at += 15_000 {
				batch.Samples.Append(one.Key, at, store.Decimal{Mant: (at-baseMs)/1000*7 + int64(one.Key.ID%1000)})
			}
		}
		if err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		batch.Reset()
	}
	d := rollup.NewDownsampler(rollup.DefaultConfig(), rollup.Options{Tables: s})
	if err := d.FoldHours(b.Context(), rollup.Span{FromMs: baseMs, ToMs: baseMs + monthMs}, func(int64) {}); err != nil {
		b.Fatal(err)
	}
	cfg := promql.DefaultConfig()
	cfg.MaxSamples, cfg.Timeout = 400_000_000, 10*time.Minute
	tiers := tiered.Remember(s, nil)
	engine := tiered.New(tiered.Options{Config: cfg, Tiers: tiers})
	q := adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{})
	for name, resolution := range map[string]plan.Resolution{"raw": plan.OnlyRaw, "auto": plan.Auto} {
		b.Run(name, func(b *testing.B) {
			ctx := plan.WithResolution(context.Background(), resolution)
			var read *plan.Selector
			heap := uint64(0)
			for b.Loop() {
				query, err := engine.NewRangeQuery(ctx, q, nil, "sum by (job) (rate(m_total[1h]))", time.UnixMilli(baseMs+hourMs), time.UnixMilli(baseMs+monthMs), time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				before := allocated()
				res := query.Exec(ctx)
				heap = allocated() - before
				if m, err := res.Matrix(); err != nil || len(m) != 10 || len(m[0].Floats) != 720 {
					b.Fatalf("%d series, %d points in the first: %v", len(m), len(m[0].Floats), err)
				}
				read = query.(*tiered.Query).Plan().Selectors[0]
				query.Close()
			}
			b.ReportMetric(float64(read.Read.Rows.Load()), "rows")
			b.ReportMetric(float64(read.Read.RawSamples.Load()), "samples")
			b.ReportMetric(float64(heap)/1e6, "allocated-MB")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
		})
	}
}

// allocated returns how many bytes this process has allocated so far.
func allocated() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}
