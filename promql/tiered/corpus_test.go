package tiered_test

import (
	"context"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/corpus"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/storage"
)

// The least that has to pass. They only rise.
const (
	wantFiles       = 22
	wantEvaluations = 2434
)

// pipeline writes batches into the reference store, whose tiers are folded while they are read.
type pipeline struct {
	store  *memory.Store
	reader *corpus.Remembering
	tiers  *tiertest.Reader
}

func (p pipeline) Write(ctx context.Context, tenant string, r *corpus.Request) error {
	return p.store.Write(ctx, r.Batch(tenant))
}

func (p pipeline) Visible(_ context.Context, tenant string) error {
	p.reader.Forget(tenant)
	return nil
}

func (p pipeline) Queryable() storage.Queryable {
	return adapter.NewTieredQueryable(p.reader, rollup.NewStitch(p.tiers, p.reader), adapter.Limits{})
}

// TestCorpus runs Prometheus' own tests with every selector on a tier that can be.
func TestCorpus(t *testing.T) {
	s := memory.New()
	reader := corpus.Remember(s)
	p := pipeline{store: s, reader: reader, tiers: &tiertest.Reader{Store: reader}}
	engine := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: p.tiers})
	r := corpus.Run(t, engine, p)
	t.Logf("passed: %s", r)
	if r.PassedFiles < wantFiles || r.PassedEvaluations < wantEvaluations {
		t.Errorf("passed %s; %d files and %d evaluations have passed before", r, wantFiles, wantEvaluations)
	}
}
