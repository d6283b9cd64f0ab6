package promql_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v3"
)

func TestConfig(t *testing.T) {
	if err := promql.DefaultConfig().Validate(); err != nil {
		t.Fatalf("the default: %v", err)
	}
	for _, bad := range []string{"timeout: 0s", "max_samples: 0", "max_series: -1", "max_concurrency: 0", "max_waiting: 0", "cors_origin: (", "lookback_delta: 1us"} {
		cfg := promql.DefaultConfig()
		if err := yaml.Unmarshal([]byte(bad), &cfg); err != nil {
			t.Fatalf("%s: %v", bad, err)
		}
		key, _, _ := strings.Cut(bad, ":")
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "query."+key) {
			t.Errorf("%s: Validate says %v", bad, err)
		}
	}
}

func TestMetricPrefix(t *testing.T) {
	reg := prometheus.NewRegistry()
	promql.NewEngine(promql.DefaultConfig(), slog.New(slog.DiscardHandler), reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) == 0 {
		t.Error("the engine registered nothing")
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "metricstream_prometheus_engine_") {
			t.Errorf("metric %s", f.GetName())
		}
	}
}

// TestTurns proves that a query beyond the limit waits for its turn, and that the wait ends with its
// context.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := promql.DefaultConfig()
		cfg.MaxConcurrency = 1
		engine := promql.NewEngine(cfg, nil, nil)
		release := make(chan struct{})
		slow := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
			SelectMockFunction: func(bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
				<-release
				return storage.EmptySeriesSet()
			},
		}}
		results := make(chan error)
		run := func(ctx context.Context) {
			q, err := engine.NewInstantQuery(ctx, slow, nil, "up", time.Unix(0, 0))
			if err == nil {
				err = q.Exec(ctx).Err
			}
			results <- err
		}
		go run(context.Background())
		synctest.Wait()
		short, cancelShort := context.WithTimeout(context.Background(), time.Second)
		defer cancelShort()
		go run(short)
		var timedOut prom.ErrQueryTimeout
		if err := <-results; !errors.As(err, &timedOut) {
			t.Errorf("the query that waited too long: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go run(ctx)
		synctest.Wait()
		cancel()
		var canceled prom.ErrQueryCanceled
		if err := <-results; !errors.As(err, &canceled) {
			t.Errorf("the query that was canceled: %v", err)
		}
		close(release)
		if err := <-results; err != nil {
			t.Errorf("the query that ran: %v", err)
		}
	})
}
