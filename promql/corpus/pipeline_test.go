package corpus_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/corpus"
	"github.com/metricstream/metricstream/remotewrite"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/tenant"
)

// The least that has to pass, on every path. They only rise.
const (
	wantFiles       = 22
	wantEvaluations = 2434
)

// check runs the corpus over a path and holds the count against the least.
func check(t *testing.T, p corpus.Pipeline) {
	t.Helper()
	engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	r := corpus.Run(t, engine, p)
	t.Logf("passed: %s", r)
	if r.PassedFiles < wantFiles || r.PassedEvaluations < wantEvaluations {
		t.Errorf("passed %s; %d files and %d evaluations have passed before", r, wantFiles, wantEvaluations)
	}
}

// batches is the path without codec, log and database: batches straight into the reference store.
type batches struct{ store *memory.Store }

func (p batches) Write(ctx context.Context, tenant string, r *corpus.Request) error {
	return p.store.Write(ctx, r.Batch(tenant))
}

func (p batches) Visible(context.Context, string) error { return nil }

func (p batches) Queryable() storage.Queryable {
	return adapter.NewQueryable(p.store, adapter.Limits{})
}

// front is a path that begins at the HTTP handler of remote write.
type front struct {
	handler http.Handler
	visible func(context.Context) error
	reader  *corpus.Remembering
}

func newFront(w store.Writer, r store.Reader) *front {
	c := remotewrite.DefaultConfig()
	c.MaxAge = 0 // the tests' samples are of 1970
	return &front{
		handler: remotewrite.New(c, remotewrite.Options{
			Writer: w, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}),
		visible: func(context.Context) error { return nil },
		reader:  corpus.Remember(r),
	}
}

func (p *front) Write(ctx context.Context, id string, r *corpus.Request) error {
	body := snappy.Encode(nil, r.Marshal())
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	request.Header.Set(tenant.Header, id)
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, request)
	if answer.Code/100 != 2 {
		return fmt.Errorf("cannot write %d series: status %d: %s", len(r.Series), answer.Code, answer.Body)
	}
	return nil
}

func (p *front) Visible(ctx context.Context, id string) error {
	p.reader.Forget(id)
	return p.visible(ctx)
}

func (p *front) Queryable() storage.Queryable {
	return adapter.NewQueryable(p.reader, adapter.Limits{})
}

func TestBatchesToMemory(t *testing.T) {
	check(t, batches{memory.New()})
}

func TestRemoteWriteToMemory(t *testing.T) {
	s := memory.New()
	check(t, newFront(s, s))
}
