package corpus_test

import (
	"context"
	"testing"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/corpus"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/prometheus/prometheus/storage"
)

// The least that has to pass, on every path. They only rise.
const (
	wantFiles       = 22
	wantEvaluations = 2434
)

// inMemory is the pipeline without a log and a database: batches straight into the reference store.
type inMemory struct{ store *memory.Store }

func (p inMemory) Write(ctx context.Context, tenant string, r *corpus.Request) error {
	return p.store.Write(ctx, r.Batch(tenant))
}

func (p inMemory) Visible(context.Context, string) error { return nil }

func (p inMemory) Queryable() storage.Queryable {
	return adapter.NewQueryable(p.store, adapter.Limits{})
}

func TestMemory(t *testing.T) {
	check(t, inMemory{memory.New()})
}

func check(t *testing.T, p corpus.Pipeline) {
	t.Helper()
	engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	r := corpus.Run(t, engine, p)
	t.Logf("passed: %s", r)
	if r.PassedFiles < wantFiles || r.PassedEvaluations < wantEvaluations {
		t.Errorf("passed %s; %d files and %d evaluations have passed before", r, wantFiles, wantEvaluations)
	}
}
