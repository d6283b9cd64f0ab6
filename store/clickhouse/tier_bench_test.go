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
// folds each as soon as it is over: what raw and the tiers cost a raw sample, in bytes and in CPU time of this process and of
// the engine, with all merges. No merge of raw runs while an hour is folded, so that each is counted where it belongs.
func BenchmarkTiers(b *testing.B) {
	for _, c := range []struct {
		everyMs        int64
		hosts, minimum int
	}{{15_000, 1000, 6}, {15_000, 100, 6}, {15_000, 100, 0}, {1_000, 7, 6}} {
		b.Run(fmt.Sprintf("every=%dms/hosts=%d/min_samples=%d", c.everyMs, c.hosts, c.minimum), func(b *testing.B) {
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
	d := rollup.NewDownsampler(rollup.Config{MinSamples: minimum}, rollup.Options{Tables: s, Logger: slog.New(slog.DiscardHandler)})
	var raw, tiers meter
	for hour := int64(benchDayMs); hour < benchDayMs+hours*hourMs; hour += hourMs {
		raw.start(b)
		for at := hour + 1; at <= hour+hourMs; at += everyMs {
			if f.scrape(&batch.Samples, at); batch.Samples.Len() >= 100_000 {
				flush()
			}
		}
		flush()
		run(b, s, "SYSTEM STOP MERGES samples")
		raw.stop(b)
		tiers.start(b)
		if err := d.FoldHours(ctx, rollup.Span{FromMs: hour, ToMs: hour + hourMs}, func(int64) {}); err != nil {
			b.Fatal(err)
		}
		tiers.stop(b)
		run(b, s, "SYSTEM START MERGES samples")
	}
	raw.start(b)
	run(b, s, "OPTIMIZE TABLE samples FINAL")
	raw.stop(b)
	tiers.start(b)
	run(b, s, "OPTIMIZE TABLE rollup_1m FINAL", "OPTIMIZE TABLE rollup_1h FINAL")
	tiers.stop(b)
	raw.report(b, "raw", samples)
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

func run(b *testing.B, s *clickhouse.Store, statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if err := s.Exec(context.Background(), statement); err != nil {
			b.Fatal(err)
		}
	}
}

// meter adds up the CPU time of this process and of its child, the engine.
type meter struct{ own, engine time.Duration }

func (m *meter) start(b *testing.B) {
	m.own, m.engine = m.own-clickhouse.CPUTime(), m.engine-childCPU(b)
}
func (m *meter) stop(b *testing.B) {
	m.own, m.engine = m.own+clickhouse.CPUTime(), m.engine+childCPU(b)
}

func (m *meter) report(b *testing.B, what string, samples int) {
	b.ReportMetric(float64(m.own.Nanoseconds())/float64(samples), what+"-own-ns/sample")
	b.ReportMetric(float64(m.engine.Nanoseconds())/float64(samples), what+"-engine-ns/sample")
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
