package clickhouse_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// BenchmarkTiers writes three hours of a fleet as a consumer does, in flushes of a second's worth at 100,000 samples, and
// folds them: what raw and the tiers cost a raw sample, in bytes and in CPU time of this process and of the engine, with all
// merges.
func BenchmarkTiers(b *testing.B) {
	for _, c := range []struct {
		everyMs        int64
		hosts, minimum int
	}{{15_000, 100, 6}, {15_000, 100, 0}, {1_000, 7, 6}} {
		b.Run(fmt.Sprintf("every=%dms/min_samples=%d", c.everyMs, c.minimum), func(b *testing.B) {
			for b.Loop() {
				benchTiers(b, c.everyMs, c.hosts, c.minimum)
			}
		})
	}
}

func benchTiers(b *testing.B, everyMs int64, hosts, minimum int) {
	const hours = 3
	s, ctx := open(b), context.Background()
	f := newFleet(hosts, 70)
	write(b, s, &store.Batch{Series: f.series})
	batch, samples := &store.Batch{}, 0
	flush := func() {
		samples += batch.Samples.Len()
		write(b, s, batch)
		batch.Reset()
	}
	raw := startMeter(b)
	for at := int64(benchDayMs + 1); at <= benchDayMs+hours*3_600_000; at += everyMs {
		if f.scrape(&batch.Samples, at-1_000); batch.Samples.Len() >= 100_000 {
			flush()
		}
	}
	flush()
	optimize(b, s, "samples")
	raw.report(b, "raw", samples)
	tiers := startMeter(b)
	d := rollup.NewDownsampler(rollup.Config{MinSamples: minimum}, rollup.Options{Tables: s, Logger: slog.New(slog.DiscardHandler)})
	if err := d.FoldHours(ctx, rollup.Span{FromMs: benchDayMs, ToMs: benchDayMs + hours*3_600_000}, func(int64) {}); err != nil {
		b.Fatal(err)
	}
	optimize(b, s, "rollup_1m", "rollup_1h")
	tiers.report(b, "tiers", samples)
	for _, table := range []string{"samples", "rollup_1m", "rollup_1h"} {
		var rows, size uint64
		const q = "SELECT sum(rows), sum(data_compressed_bytes) FROM system.parts WHERE active AND database = currentDatabase() AND table = '%s'"
		if err := s.Scan(ctx, fmt.Sprintf(q, table), &rows, &size); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/float64(samples), table+"-B/sample")
		if rows > 0 {
			b.ReportMetric(float64(size)/float64(rows), table+"-B/row")
		}
	}
	b.ReportMetric(0, "ns/op")
}

func optimize(b *testing.B, s *clickhouse.Store, tables ...string) {
	b.Helper()
	for _, table := range tables {
		if err := s.Exec(context.Background(), "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			b.Fatal(err)
		}
	}
}

// meter measures the CPU time of this process and of its child, the engine.
type meter struct{ own, engine time.Duration }

func startMeter(b *testing.B) meter { return meter{clickhouse.CPUTime(), childCPU(b)} }

func (m meter) report(b *testing.B, what string, samples int) {
	own, engine := clickhouse.CPUTime()-m.own, childCPU(b)-m.engine
	b.ReportMetric(float64(own.Nanoseconds())/float64(samples), what+"-own-ns/sample")
	b.ReportMetric(float64(engine.Nanoseconds())/float64(samples), what+"-engine-ns/sample")
}

// childCPU returns the CPU time that the children of this process have used.
func childCPU(b *testing.B) time.Duration {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	const tick = 10 * time.Millisecond // of USER_HZ, which is 100 everywhere
	total := time.Duration(0)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, f := range fields[11:13] {
			n, _ := strconv.Atoi(f)
			total += time.Duration(n) * tick
		}
	}
	return total
}
