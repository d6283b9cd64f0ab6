package clickhouse_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

// BenchmarkErase erases 10,000 of 20,000 series from seven days of samples, one every two minutes: 100 million rows.
// ClickHouse rewrites the whole of every partition.
func BenchmarkErase(b *testing.B) {
	const series, days, perDay = 20_000, 7, 720
	for b.Loop() {
		b.StopTimer()
		s, ctx := open(b), b.Context()
		for day := range days {
			statement := fmt.Sprintf(`INSERT INTO samples (metric, id, ts, exp, mant) SELECT intDiv(number, %[2]d * 100) AS metric, intDiv(number, %[2]d) AS id,
    %[1]d * 86400000 + (number %% %[2]d) * 120000 AS ts, 0, cityHash64(id) %% 1000 + number %% %[2]d FROM numbers(%[3]d)`, 20_000+day, perDay, series*perDay)
			if err := s.Exec(ctx, statement); err != nil {
				b.Fatal(err)
			}
		}
		e := s.Eraser()
		if err := e.Prepare(ctx, "be"); err != nil {
			b.Fatal(err)
		}
		var keys []store.Key
		for id := uint64(0); id < series; id += 2 {
			keys = append(keys, store.Key{Metric: uint32(id / 100), ID: id})
		}
		if err := e.AddKeys(ctx, "be", keys); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		counts, err := e.Count(ctx, "be", list.All())
		if err != nil {
			b.Fatal(err)
		}
		counted := time.Since(began)
		if err := e.DeletePoints(ctx, "be", list.All(), func(string, int, int) error { return nil }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(counted.Seconds(), "s/count")
		b.ReportMetric((time.Since(began) - counted).Seconds(), "s/delete")
		b.ReportMetric(float64(counts[0].Rows), "rows")
		if counts, err = e.Count(ctx, "be", list.All()); err != nil || counts[0].Rows != 0 {
			b.Fatalf("%d rows are left, %v", counts[0].Rows, err)
		}
	}
}
