package corpus

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// testStorage is one empty store of a test: a tenant of the pipeline.
type testStorage struct {
	storage.Storage // nil: the tests call none of its other methods

	pipeline Pipeline
	tenant   string
	unseen   atomic.Bool
}

// AppenderV2 returns an appender whose Commit is one request.
func (s *testStorage) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &appender{ctx: ctx, storage: s}
}

// Querier waits until what was committed can be read.
func (s *testStorage) Querier(minMs, maxMs int64) (storage.Querier, error) {
	if s.unseen.Swap(false) {
		if err := s.pipeline.Visible(context.Background(), s.tenant); err != nil {
			return nil, err
		}
	}
	q, err := s.pipeline.Queryable().Querier(minMs, maxMs)
	if err != nil {
		return nil, err
	}
	return &tenantQuerier{Querier: q, tenant: s.tenant}, nil
}

func (s *testStorage) Close() error { return nil }

// tenantQuerier reads for the store's tenant, whatever the context says.
type tenantQuerier struct {
	storage.Querier
	tenant string
}

func (q *tenantQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(tenant.NewContext(ctx, q.tenant), sorted, hints, matchers...)
}

// appender collects one request.
type appender struct {
	ctx     context.Context
	storage *testStorage
	request Request
}

func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, startMs, timeMs int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	if h != nil {
		return 0, errors.New("the tests never append integer histograms")
	}
	a.request.Append(ls, Point{TimeMs: timeMs, StartMs: startMs, Value: v, Histogram: fh})
	return 1, nil
}

func (a *appender) Commit() error {
	if len(a.request.Series) == 0 {
		return nil
	}
	a.storage.unseen.Store(true)
	return a.storage.pipeline.Write(a.ctx, a.storage.tenant, &a.request)
}

func (a *appender) Rollback() error { return nil }
