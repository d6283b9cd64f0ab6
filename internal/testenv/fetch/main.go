// Command fetch brings what the tests run against into the cache folder, ahead of them and with progress shown: the
// embedded ClickHouse engine, Apache Kafka, Redis, PostgreSQL, Debian's Prometheus and node exporter, and the Prometheus of go.mod.
// What is there already is left alone.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := fetch(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func fetch(ctx context.Context) error {
	dir, err := engine.CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot create the cache folder: %w", err)
	}
	for _, part := range []struct {
		name  string
		fetch func() error
	}{
		{"the embedded ClickHouse engine", func() error { _, err := engine.Fetch(ctx, dir, os.Stdout); return err }},
		{"Apache Kafka", func() error { _, err := testenv.FetchKafka(ctx, dir); return err }},
		{"Redis", func() error { _, err := testenv.FetchRedis(ctx, dir); return err }},
		{"PostgreSQL", func() error { _, err := testenv.FetchPostgres(ctx, dir); return err }},
		{"Prometheus and the node exporter", func() error { _, err := testenv.FetchSenders(ctx, dir); return err }},
	} {
		begin := time.Now()
		fmt.Printf("fetching %s into %s\n", part.name, dir)
		if err := part.fetch(); err != nil {
			return err
		}
		fmt.Printf("fetching %s: done after %.1f s\n", part.name, time.Since(begin).Seconds())
	}
	return nil
}
