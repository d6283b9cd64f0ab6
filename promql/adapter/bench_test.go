package adapter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/store"
)

// BenchmarkQuery is the engine over the adapter over columns that are in memory: 2,000 series, an hour at 15 s.
func BenchmarkQuery(b *testing.B) {
	const series, samples = 2000, 240
	var all []*store.SeriesData
	for i := range series {
		d := &store.SeriesData{Labels: labels.FromStrings("__name__", "m", "instance", fmt.Sprint(i), "job", fmt.Sprint(i%10))}
		for j := range int64(samples) {
			d.TimesMs, d.Values = append(d.TimesMs, j*15_000), append(d.Values, float64(j*int64(i)))
		}
		all = append(all, d)
	}
	q := adapter.NewQueryable(readerFunc(func(_ context.Context, _ store.Selection, yield func(*store.SeriesData) error) error {
		for _, d := range all {
			if err := yield(d); err != nil {
				return err
			}
		}
		return nil
	}), adapter.Limits{})
	engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	for _, expr := range []string{"m", "sum by (job) (rate(m[5m]))"} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				query, err := engine.NewRangeQuery(context.Background(), q, nil, expr, time.Unix(300, 0), time.Unix(3600, 0), time.Minute)
				if err != nil {
					b.Fatal(err)
				}
				if err := query.Exec(context.Background()).Err; err != nil {
					b.Fatal(err)
				}
				query.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series/samples, "ns/sample")
		})
	}
}
