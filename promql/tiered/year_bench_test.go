package tiered_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/labels"
)

const yearHours = 365 * 24

// counters lists that many counters in the order of their keys.
func counters(series int, minMs, maxMs int64) []store.Series {
	var list []store.Series
	for i := range series {
		ls := labels.FromStrings("__name__", "m_total", "instance", fmt.Sprint(i), "job", fmt.Sprint(i%10))
		list = append(list, store.Series{Tenant: store.DefaultTenant, Key: store.KeyOf(store.DefaultTenant, ls), Labels: ls, MinMs: minMs, MaxMs: maxMs})
	}
	slices.SortFunc(list, func(a, b store.Series) int { return a.Key.Compare(b.Key) })
	return list
}

// writeYear writes a year of hours of the counters into the tables, as if the downsampler had and each partition, of 91 days,
// were merged to one part.
func writeYear(b *testing.B, s *clickhouse.Store, list []store.Series) {
	b.Helper()
	if err := s.Write(b.Context(), &store.Batch{Series: list}); err != nil {
		b.Fatal(err)
	}
	var states []rollup.HourState
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, len(list))
	const partitionMs = 91 * 24 * hourMs
	for hour := int64(1); hour <= yearHours; {
		next := ((baseMs+hour*hourMs-1)/partitionMs+1)*partitionMs/hourMs - baseMs/hourMs + 1
		batch := &rollup.Batch{Tier: rollup.Hour, Version: uint64(hour)}
		for i, one := range list {
			r := rollup.Series{Key: one.Key}
			for h := hour; h < next && h <= yearHours; h++ {
				end := baseMs + h*hourMs
				row := rollup.Row{
					EndMs: end, N: 240, FirstMs: end - hourMs + 1 + int64(one.Key.ID%15_000), LastMs: end - 15_000 + 1 + int64(one.Key.ID%15_000),
					First: values[i] + float64(rng.IntN(30)), Changes: uint32(200 + rng.IntN(40)), M2: float64(rng.IntN(1e9)),
				}
				row.PrevMs = row.LastMs - 15_000
				values[i] = row.First + float64(2000+rng.IntN(2000))
				row.Last, row.Min, row.Max = values[i], row.First, values[i]
				row.Prev = row.Last - float64(rng.IntN(30))
				row.Sum = 120*(row.First+row.Last) + float64(rng.IntN(20_000))
				if rng.IntN(700) == 0 {
					row.Comp, row.Resets, row.Min = row.Last, 1, 0
					values[i] = float64(rng.IntN(1000))
					row.Last = values[i]
				}
				r.Rows.Append(row, rollup.AllColumns)
			}
			batch.Series = append(batch.Series, r)
		}
		if err := s.WriteRollups(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		for h := hour; h < next && h <= yearHours; h++ {
			states = append(states, rollup.HourState{EndMs: baseMs + h*hourMs, State: rollup.Closed, Version: 1, Tiers: rollup.Hour.Set()})
		}
		hour = next
	}
	if err := s.SetHours(b.Context(), states); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkYear is a panel of a thousand points over a year of hours of 1,000 series, read from ClickHouse.
func BenchmarkYear(b *testing.B) {
	s := openClickHouse(b)
	writeYear(b, s, counters(1000, baseMs, baseMs+yearHours*hourMs))
	tiers := tiered.Remember(s, nil)
	engine := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
	q := adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{})
	for _, expr := range []string{
		"sum by (job) (rate(m_total[9h]))", "sum by (job) (rate(m_total[1d]))", "sum by (job) (max_over_time(m_total[9h]))",
		"sum by (job) (avg_over_time(m_total[9h]))", "sum by (job) (m_total)",
	} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			var rows int64
			for b.Loop() {
				query, err := engine.NewRangeQuery(context.Background(), q, nil, expr, time.UnixMilli(baseMs+24*hourMs), time.UnixMilli(baseMs+yearHours*hourMs), 9*time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				res := query.Exec(context.Background())
				if m, err := res.Matrix(); err != nil || len(m) != 10 || len(m[0].Floats) < 900 {
					b.Fatalf("%d series: %v", len(m), err)
				}
				rows = query.(*tiered.Query).Plan().Selectors[0].Read.Rows.Load()
				query.Close()
			}
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
		})
	}
}
