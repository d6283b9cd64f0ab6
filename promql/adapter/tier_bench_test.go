package adapter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

const hourMs = 60 * 60 * 1000

// rows is a reader of one tier whose rows are in memory.
type rows []*rollup.Series

func (r rows) SelectSpan(_ context.Context, s rollup.Selection, _ rollup.Span, yield func(*rollup.Series) error) error {
	for _, one := range r {
		s.Read.Rows += int64(one.Rows.Len())
		if err := yield(one); err != nil {
			return err
		}
	}
	return nil
}

func (r rows) SelectRollups(context.Context, rollup.Selection, func(*rollup.Series) error) error {
	return nil
}

func (r rows) Coverage(context.Context, string) (rollup.Coverage, error) {
	all := []rollup.Span{{FromMs: 0, ToMs: 1 << 60}}
	return rollup.Coverage{rollup.Raw: all, rollup.Hour: all}, nil
}

// yearOfHours is a year of hours of that many counters.
func yearOfHours(series int) rows {
	var r rows
	for i := range series {
		d := &store.SeriesData{}
		for ms := int64(hourMs); ms <= 365*24*hourMs; ms += hourMs / 2 {
			d.TimesMs, d.Values = append(d.TimesMs, ms), append(d.Values, float64(ms/1000%(7919*int64(i+1))))
		}
		s := &rollup.Series{Labels: labels.FromStrings("__name__", "m_total", "instance", fmt.Sprint(i), "job", fmt.Sprint(i%10))}
		new(rollup.Folder).Fold(s, d, rollup.Hour, rollup.FirstColumns|rollup.LastColumns|rollup.CompColumn)
		r = append(r, s)
	}
	return r
}

// BenchmarkTiers is a panel of a thousand points over a year of hours of 100 series, whose rows are in memory: what a
// query takes beside reading them.
func BenchmarkTiers(b *testing.B) {
	tiers := yearOfHours(100)
	q := adapter.NewTieredQueryable(nil, tiers, adapter.Limits{})
	engine := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
	for _, expr := range []string{"sum by (job) (rate(m_total[9h]))", "sum by (job) (rate(m_total[1d]))", "rate(m_total[9h])", "m_total"} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				query, err := engine.NewRangeQuery(context.Background(), q, nil, expr, time.UnixMilli(27*hourMs), time.UnixMilli(365*24*hourMs), 9*time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				if err := query.Exec(context.Background()).Err; err != nil {
					b.Fatal(err)
				}
				query.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(100*365*24), "ns/row")
		})
	}
}
