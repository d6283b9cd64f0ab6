// Package adapter shows a [store.Reader] to the Prometheus engine as a storage.Queryable. It owns what the engine
// sees of stored series: their order, their iterators, the counter reset hints of histograms, and the limits of
// one query. It leaves evaluation to the engine and treats no hint as leave to aggregate.
//
// Which tenant a read is for comes from the context of the read, see package tenant.
package adapter

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Limits bound what one querier, and so one query, may read with all its selectors together. Zero is no limit. The
// limits of the context, see [limits.NewContext], are below them.
type Limits struct {
	MaxSeries, MaxSamples int
}

// Queryable is a storage.Queryable over a [store.Reader].
type Queryable struct {
	reader store.Reader
	limits Limits

	// tiers and engine are nil where there are no tiers.
	tiers  TierReader
	engine *promql.ExprEngine
}

// TierReader reads rows of which none is missing, such as a [rollup.Stitch].
type TierReader interface {
	// SelectSpan calls yield for each series that has samples in the span, with the rows of these samples. The series
	// belongs to the reader again when yield returns.
	SelectSpan(ctx context.Context, s rollup.Selection, span rollup.Span, yield func(*rollup.Series) error) error
}

// NewQueryable returns a Queryable. Its queriers may be used from several goroutines at once.
//
// What its queriers return as errors can be told apart without knowing this package: promql.ErrStorage is a
// fault of the store, promql.ErrQueryTimeout and promql.ErrQueryCanceled say that the context ended, and any
// other is the client's, with the store.Kind of it found by [store.KindOf].
func NewQueryable(r store.Reader, l Limits) *Queryable { return &Queryable{reader: r, limits: l} }

// NewTieredQueryable returns a Queryable that reads the selectors of a plan from tiers, see package plan; the plan is
// in the context of a read. What rows cannot tell is computed from raw samples.
func NewTieredQueryable(r store.Reader, tiers TierReader, l Limits) *Queryable {
	cfg := promql.DefaultConfig()
	cfg.MaxSamples = math.MaxInt // what is read is limited already
	return &Queryable{reader: r, limits: l, tiers: tiers, engine: promql.NewExprEngine(cfg, nil, nil, nil)}
}

// Querier implements storage.Queryable; both times are milliseconds and included.
func (q *Queryable) Querier(minMs, maxMs int64) (storage.Querier, error) {
	return &querier{
		reader: q.reader, tiers: q.tiers, engine: q.engine, budget: budget{limits: q.limits}, minMs: minMs, maxMs: maxMs,
	}, nil
}

// querier serves one query. Every Select reads in a goroutine of its own, so that the selectors of a query read
// at the same time; Close ends those that still run and waits for them.
type querier struct {
	reader       store.Reader
	tiers        TierReader
	engine       *promql.ExprEngine
	budget       budget
	minMs, maxMs int64

	mu      sync.Mutex
	cancels []context.CancelFunc
	reads   sync.WaitGroup
}

// budget counts what all selectors of a query have read.
type budget struct {
	limits          Limits
	series, samples atomic.Int64

	once sync.Once
	most limits.Reading
}

// reading returns what the query may read: it is one query's, so every context of a read says the same.
func (b *budget) reading(ctx context.Context) limits.Reading {
	b.once.Do(func() {
		b.most = limits.FromContext(ctx).Reading(
			limits.Bound{Most: int64(b.limits.MaxSeries), Name: "query.max_series"},
			limits.Bound{Most: int64(b.limits.MaxSamples), Name: "query.max_samples"})
	})
	return b.most
}

// take adds a series with its samples, and fails when that is too much. reading has been called before.
func (b *budget) take(samples int) error {
	series, all := b.series.Add(1), b.samples.Add(int64(samples))
	switch {
	case b.most.Series.Most > 0 && series > b.most.Series.Most:
		return b.most.TooManySeries()
	case b.most.Samples.Most > 0 && all > b.most.Samples.Most:
		return b.most.TooManySamples()
	}
	return nil
}

// Select implements storage.Querier. The series are always sorted by labels, so that sums over them do not
// depend on the order in which a store happened to return them.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	s := q.selection(ctx, matchers)
	labelsOnly, limit := false, 0
	if hints != nil {
		s.MinMs, s.MaxMs = hints.Start, hints.End
		labelsOnly, limit = hints.Func == "series", hints.Limit
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &read{done: make(chan struct{})}
	q.mu.Lock()
	q.cancels = append(q.cancels, cancel)
	q.reads.Add(1)
	q.mu.Unlock()
	go func() {
		defer q.reads.Done()
		defer close(r.done)
		defer cancel()
		reading, span := correlation.Span(ctx, "select")
		list, warnings, err := q.readSafely(reading, s, matchers, labelsOnly)
		endSelect(ctx, span, matchers, len(list), err)
		r.warnings = warnings
		r.finish(list, limit, queryError(ctx, q.budget.most.Name(err)))
	}()
	return &seriesSet{read: r, at: -1}
}

// readSafely reads what Select asks for. A panic is an error of this query, as it is in the engine, and not the end of the
// process.
func (q *querier) readSafely(ctx context.Context, s store.Selection, matchers []*labels.Matcher, labelsOnly bool) (list []storage.Series, warnings annotations.Annotations, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("cannot read %s, a fault in this program: %v at %s", s.Matchers, fault, faultPlace())
		}
	}()
	planned := plan.FromContext(ctx).Of(matchers)
	switch {
	case labelsOnly:
		list, err = q.readLabels(ctx, s)
	case planned != nil && planned.Tier != rollup.Raw:
		return q.readTier(ctx, planned, s)
	default:
		list, err = q.readSamples(ctx, s, planned)
	}
	return list, nil, err
}

// faultPlace returns where the panic was that the caller recovers from.
func faultPlace() string {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
}

func (q *querier) selection(ctx context.Context, matchers []*labels.Matcher) store.Selection {
	most := q.budget.reading(ctx)
	return store.Selection{
		Tenant:     tenant.FromContext(ctx),
		Matchers:   matchers,
		MinMs:      q.minMs,
		MaxMs:      q.maxMs,
		MaxSeries:  int(most.Series.Most),
		MaxSamples: int(most.Samples.Most),
	}
}

func (q *querier) readSamples(ctx context.Context, s store.Selection, planned *plan.Selector) ([]storage.Series, error) {
	found, err := q.findSamples(ctx, s, planned)
	if err != nil {
		return nil, err
	}
	list := make([]storage.Series, len(found))
	for i, d := range found {
		list[i] = &series{d}
	}
	return list, nil
}

// findSamples reads raw samples.
func (q *querier) findSamples(ctx context.Context, s store.Selection, planned *plan.Selector) ([]*store.SeriesData, error) {
	var found []*store.SeriesData
	err := q.reader.Select(ctx, s, func(d *store.SeriesData) error {
		found = append(found, d)
		samples := len(d.TimesMs) + len(d.Histograms)
		if planned != nil {
			planned.Read.Series.Add(1)
			planned.Read.RawSamples.Add(int64(samples))
		}
		if err := q.budget.take(samples); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, q.setResetHints(ctx, s, found)
}

func (q *querier) readLabels(ctx context.Context, s store.Selection) ([]storage.Series, error) {
	found, err := q.reader.Series(ctx, s)
	list := make([]storage.Series, 0, len(found))
	for _, ls := range found {
		list = append(list, &series{&store.SeriesData{Labels: ls}})
	}
	return list, err
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, err := q.reader.LabelNames(ctx, q.selection(ctx, matchers))
	names, _ = hints.ApplyLimit(names)
	return names, nil, queryError(ctx, q.budget.most.Name(err))
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values, err := q.reader.LabelValues(ctx, name, q.selection(ctx, matchers))
	values, _ = hints.ApplyLimit(values)
	return values, nil, queryError(ctx, q.budget.most.Name(err))
}

// Close ends and waits for the reads that still run. Series that were returned stay usable.
func (q *querier) Close() error {
	q.mu.Lock()
	cancels := q.cancels
	q.cancels = nil
	q.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	q.reads.Wait()
	return nil
}
