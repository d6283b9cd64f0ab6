package tiered_test

import (
	"context"
	"fmt"
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

// writeYear writes a year of hours of the counters into the tables, as if the downsampler had.
func writeYear(b *testing.B, s *clickhouse.Store, list []store.Series) {
	b.Helper()
	if err := s.Write(b.Context(), &store.Batch{Series: list}); err != nil {
		b.Fatal(err)
	}
	var states []rollup.HourState
	for hour := int64(1); hour <= yearHours; hour += 24 {
		batch := &rollup.Batch{Tier: rollup.Hour, Version: 1}
		for _, one := range list {
			r := rollup.Series{Key: one.Key}
			for h := hour; h < hour+24 && h <= yearHours; h++ {
				end := baseMs + h*hourMs
				v := float64(h*3600 + int64(one.Key.ID%1000))
				r.Rows.Append(rollup.Row{
					EndMs: end, N: 240, FirstMs: end - hourMs + 15_000, First: v, LastMs: end, Last: v + 3000, PrevMs: end - 15_000, Prev: v + 2990,
					Sum: 240 * v, Min: v, Max: v + 3000, Changes: 239, M2: 12.5,
				}, rollup.AllColumns)
			}
			batch.Series = append(batch.Series, r)
		}
		if err := s.WriteRollups(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		for h := hour; h < hour+24 && h <= yearHours; h++ {
			states = append(states, rollup.HourState{EndMs: baseMs + h*hourMs, State: rollup.Closed, Version: 1, Tiers: rollup.Hour.Set()})
		}
	}
	if err := s.SetHours(b.Context(), states); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkYear is a panel of a thousand points over a year of hours of 1,000 series, read from ClickHouse.
func BenchmarkYear(b *testing.B) {
	s := openClickHouse(b)
	writeYear(b, s, counters(1000, baseMs, baseMs+yearHours*hourMs))
	tiers := tiered.Remember(s)
	engine := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
	q := adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{})
	for _, expr := range []string{
		"sum by (job) (rate(m_total[9h]))", "sum by (job) (rate(m_total[1d]))", "sum by (job) (max_over_time(m_total[9h]))",
		"sum by (job) (avg_over_time(m_total[9h]))", "sum by (job) (m_total)",
	} {
		b.Run(expr, func(b *testing.B) {
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
