package clickhouse_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// foldSimple is a stand-in.
func foldSimple(r *rollup.Rows, times []int64, vals []float64, stepMs int64) {
	last := -1
	for i, t := range times {
		v := vals[i]
		end := rollup.EndMs(t, stepMs)
		if last < 0 || r.EndsMs[last] != end {
			last++
			r.EndsMs = append(r.EndsMs, end)
			r.N = append(r.N, 1)
			r.Flags = append(r.Flags, 0)
			r.StaleMs = append(r.StaleMs, 0)
			r.FirstMs = append(r.FirstMs, t)
			r.LastMs = append(r.LastMs, t)
			r.PrevMs = append(r.PrevMs, 0)
			r.First = append(r.First, v)
			r.Last = append(r.Last, v)
			r.Prev = append(r.Prev, 0)
			r.FirstStartMs = append(r.FirstStartMs, 0)
			r.LastStartMs = append(r.LastStartMs, 0)
			r.Sum = append(r.Sum, v)
			r.Min = append(r.Min, v)
			r.Max = append(r.Max, v)
			r.Comp = append(r.Comp, 0)
			r.Resets = append(r.Resets, 0)
			r.Changes = append(r.Changes, 0)
			r.M2 = append(r.M2, 0)
			continue
		}
		mean := r.Sum[last] / float64(r.N[last])
		r.N[last]++
		r.Sum[last] += v
		r.M2[last] += (v - mean) * (v - r.Sum[last]/float64(r.N[last]))
		r.Min[last] = min(r.Min[last], v)
		r.Max[last] = max(r.Max[last], v)
		if v < r.Last[last] {
			r.Comp[last] += r.Last[last]
			r.Resets[last]++
		}
		if v != r.Last[last] {
			r.Changes[last]++
		}
		r.Prev[last], r.PrevMs[last] = r.Last[last], r.LastMs[last]
		r.Last[last], r.LastMs[last] = v, t
	}
}

func BenchmarkTierRows(b *testing.B) {
	for _, every := range []int64{1000, 15000} {
		for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
			b.Run(fmt.Sprintf("%dms/%s", every, tier), func(b *testing.B) { benchTier(b, every, tier) })
		}
	}
}

func benchTier(b *testing.B, every int64, tier rollup.Tier) {
	s := open(b)
	f := newFleet(20, 35)
	hours := 1
	if tier == rollup.Hour {
		hours = 24
	}
	if every == 1000 {
		f = newFleet(4, 35)
	}
	n := int64(hours) * 3_600_000 / every
	var all store.Samples
	for i := range n {
		f.scrape(&all, benchDayMs+i*every)
	}
	samples := all.Len()
	per := map[store.Key]*store.SeriesData{}
	var keys []store.Key
	for i := range samples {
		k := store.Key{Metric: all.Metrics[i], ID: all.IDs[i]}
		if per[k] == nil {
			per[k] = &store.SeriesData{}
			keys = append(keys, k)
		}
		per[k].TimesMs = append(per[k].TimesMs, all.TimesMs[i])
		per[k].Values = append(per[k].Values, store.Decimal{Exp: all.Exps[i], Mant: all.Mants[i]}.Float())
	}
	batch := &rollup.Batch{Tier: tier, Version: 1}
	rows := 0
	for _, k := range sortedKeys(keys) {
		var r rollup.Rows
		foldSimple(&r, per[k].TimesMs, per[k].Values, tier.StepMs())
		rows += len(r.EndsMs)
		batch.Series = append(batch.Series, rollup.Series{Key: k, Rows: r})
	}
	if err := s.Exec(context.Background(), "ALTER TABLE rollup_"+tier.String()+" MODIFY SETTING min_bytes_for_wide_part = 0"); err != nil {
		b.Fatal(err)
	}
	cpu := clickhouse.CPUTime()
	for b.Loop() {
		if err := s.WriteRollups(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(clickhouse.CPUTime()-cpu)/float64(b.N*rows), "cpu-ns/row")
	table := "rollup_" + tier.String()
	if err := s.Exec(context.Background(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
		b.Fatal(err)
	}
	var cols []string
	var total uint64
	for _, c := range []string{"metric", "id", "bucket", "ver", "n", "flags", "exp", "last", "first_d", "prev_d", "min_d", "max_d", "sum_d", "comp_d", "m2", "first_o", "last_o", "prev_o", "stale_o", "resets", "changes", "first_st", "last_st", "class"} {
		var size uint64
		if err := s.Scan(context.Background(), "SELECT toUInt64(sum(column_data_compressed_bytes)) FROM system.parts_columns WHERE active AND database = currentDatabase() AND table = '"+table+"' AND column = '"+c+"'", &size); err != nil {
			b.Fatal(err)
		}
		total += size
		cols = append(cols, fmt.Sprintf("%s=%.2f", c, float64(size)/float64(rows)))
	}
	b.ReportMetric(float64(total)/float64(rows), "B/row")
	b.ReportMetric(float64(total)/float64(samples), "B/sample")
	b.Log(cols)
}

func sortedKeys(keys []store.Key) []store.Key {
	out := append([]store.Key(nil), keys...)
	for i := 1; i < len(out); i++ {
		for j := i; j > 0 && out[j].Compare(out[j-1]) < 0; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}
