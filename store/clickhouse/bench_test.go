package clickhouse_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

const (
	benchTenant = "bench"
	benchDayMs  = 20_000 * dayMs
	scrapeMs    = 15_000
)

// fleet is a set of series as scraped from many hosts: counters with whole steps, gauges of two or three
// decimals, sizes of memory, and constants.
type fleet struct {
	rng      *rand.Rand
	series   []store.Series
	values   []float64
	step     []func(v float64) float64
	decimals []uint8
}

func newFleet(hosts, metrics int) *fleet {
	f := &fleet{rng: rand.New(rand.NewPCG(1, 2))}
	steps := []func(v float64) float64{
		func(v float64) float64 { return v + float64(f.rng.IntN(1000)) },
		func(v float64) float64 { return v + float64(f.rng.IntN(20)) },
		func(v float64) float64 { return float64(int(v*100)+f.rng.IntN(41)-20) / 100 },
		func(v float64) float64 { return float64(int(v*1000)+f.rng.IntN(401)-200) / 1000 },
		func(v float64) float64 { return v + float64((f.rng.IntN(64)-32)*4096) },
		func(v float64) float64 { return v },
		func(v float64) float64 { return v },
	}
	for h := range hosts {
		for m := range metrics {
			ls := labels.FromStrings("__name__", fmt.Sprintf("node_metric_%d_total", m), "cluster", "eu-west-1", "env", "prod",
				"instance", fmt.Sprintf("10.0.%d.%d:9100", h/256, h%256), "job", "node", "mode", fmt.Sprint(m%7), "device", fmt.Sprintf("eth%d", m%3))
			k := store.KeyOf(benchTenant, ls)
			f.series = append(f.series, store.Series{Tenant: benchTenant, Key: k, Labels: ls, MinMs: benchDayMs, MaxMs: benchDayMs + dayMs - 1})
			f.values = append(f.values, float64(f.rng.IntN(1_000_000_000)))
			f.step = append(f.step, steps[m%len(steps)])
			f.decimals = append(f.decimals, 0)
		}
	}
	return f
}

// scrape appends one sample of each series. Scrapes of a host come at its own offset, to the millisecond, with
// some jitter.
func (f *fleet) scrape(b *store.Samples, timeMs int64) {
	for i, s := range f.series {
		f.values[i] = f.step[i](f.values[i])
		var d store.Decimal
		d, f.decimals[i] = store.DecimalOf(f.values[i], f.decimals[i])
		jitter := int64(0)
		if f.rng.IntN(20) == 0 {
			jitter = f.rng.Int64N(4)
		}
		b.Append(s.Key, timeMs+int64(s.Key.Metric%1000)+jitter, d)
	}
}

// fill writes scrapes of the fleet in flushes of some size.
func fill(b testing.TB, s *clickhouse.Store, f *fleet, scrapes, flushRows int) {
	b.Helper()
	write(b, s, &store.Batch{Series: f.series})
	batch := &store.Batch{}
	for i := range scrapes {
		f.scrape(&batch.Samples, benchDayMs+int64(i)*scrapeMs)
		if batch.Samples.Len() >= flushRows || i == scrapes-1 {
			write(b, s, batch)
			batch.Reset()
		}
	}
}

func BenchmarkWrite1M(b *testing.B) {
	for _, shape := range []struct{ hosts, metrics int }{{100, 100}, {1000, 100}} {
		b.Run(fmt.Sprintf("series=%d", shape.hosts*shape.metrics), func(b *testing.B) {
			s := open(b)
			f := newFleet(shape.hosts, shape.metrics)
			batch := &store.Batch{}
			for i := 0; batch.Samples.Len() < 1_000_000; i++ {
				f.scrape(&batch.Samples, benchDayMs+int64(i)*scrapeMs)
			}
			n := batch.Samples.Len()
			write(b, s, batch)
			before := clickhouse.CPUTime()
			for b.Loop() {
				write(b, s, batch)
			}
			b.ReportMetric(float64(clickhouse.CPUTime()-before)/float64(b.N*n), "cpu-ns/sample")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sample")
		})
	}
}

func BenchmarkSelect(b *testing.B) {
	s := open(b)
	f := newFleet(200, 50)
	fill(b, s, f, 1440, 700_000) // six hours
	if err := s.Optimize(context.Background()); err != nil {
		b.Fatal(err)
	}
	hour := store.Selection{Tenant: benchTenant, MinMs: benchDayMs + 2*3_600_000, MaxMs: benchDayMs + 3*3_600_000 - 1}
	run := func(name string, ms ...*labels.Matcher) {
		b.Run(name, func(b *testing.B) {
			sel := hour
			sel.Matchers = ms
			var samples, series int
			for b.Loop() {
				samples, series = 0, 0
				err := s.Select(context.Background(), sel, func(d *store.SeriesData) error {
					series++
					samples += len(d.TimesMs)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(samples), "samples")
			b.ReportMetric(float64(series), "series")
		})
	}
	run("one", equal("__name__", "node_metric_7_total"), equal("instance", "10.0.0.7:9100"))
	run("200", equal("__name__", "node_metric_7_total"))
	run("1000", labels.MustNewMatcher(labels.MatchRegexp, "__name__", "node_metric_(7|8|9|10|11)_total"))
}

func BenchmarkSeriesLookup(b *testing.B) {
	s := open(b)
	f := newFleet(2000, 100)
	write(b, s, &store.Batch{Series: f.series})
	if err := s.Optimize(context.Background()); err != nil {
		b.Fatal(err)
	}
	day := store.Selection{Tenant: benchTenant, MinMs: benchDayMs, MaxMs: benchDayMs}
	re := func(name, value string) *labels.Matcher {
		return labels.MustNewMatcher(labels.MatchRegexp, name, value)
	}
	for _, c := range []struct {
		name     string
		matchers []*labels.Matcher
	}{
		{"name+instance", []*labels.Matcher{equal("__name__", "node_metric_7_total"), equal("instance", "10.0.3.7:9100")}},
		{"name", []*labels.Matcher{equal("__name__", "node_metric_7_total")}},
		{"name+job", []*labels.Matcher{equal("__name__", "node_metric_7_total"), equal("job", "node")}},
		{"instance", []*labels.Matcher{equal("instance", "10.0.3.7:9100")}},
		{"name+regex", []*labels.Matcher{equal("__name__", "node_metric_7_total"), re("instance", "10.0.3..*")}},
		{"nameregex", []*labels.Matcher{re("__name__", "node_metric_7._total"), equal("instance", "10.0.3.7:9100")}},
		{"names", []*labels.Matcher{re("__name__", "node_metric_(7|8)_total"), equal("instance", "10.0.3.7:9100")}},
		{"job+instance", []*labels.Matcher{equal("job", "node"), equal("instance", "10.0.3.7:9100")}},
		{"instanceregex", []*labels.Matcher{re("instance", "10.0.3.7.*")}},
		{"all", []*labels.Matcher{equal("job", "node")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			sel := day
			sel.Matchers = c.matchers
			n := 0
			for b.Loop() {
				list, err := s.Series(context.Background(), sel)
				if err != nil {
					b.Fatal(err)
				}
				n = len(list)
			}
			b.ReportMetric(float64(n), "series")
		})
	}
	for _, label := range []string{"__name__", "instance", "job"} {
		b.Run("values/"+label, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.LabelValues(context.Background(), label, day); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("names", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.LabelNames(context.Background(), day); err != nil {
				b.Fatal(err)
			}
		}
	})
}
