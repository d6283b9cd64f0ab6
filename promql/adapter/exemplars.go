package adapter

import (
	"context"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// ExemplarQueryable is a storage.ExemplarQueryable over a [store.ExemplarReader].
type ExemplarQueryable struct {
	reader store.ExemplarReader
	limits Limits
}

// NewExemplarQueryable returns an ExemplarQueryable; errors are those of [NewQueryable].
func NewExemplarQueryable(r store.ExemplarReader, l Limits) *ExemplarQueryable {
	return &ExemplarQueryable{reader: r, limits: l}
}

// ExemplarQuerier implements storage.ExemplarQueryable. The context is that of the query and names the tenant.
func (q *ExemplarQueryable) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return &exemplarQuerier{ctx: ctx, q: q}, nil
}

type exemplarQuerier struct {
	ctx context.Context
	q   *ExemplarQueryable
}

// Select implements storage.ExemplarQuerier: a union of the matcher sets, each series once, sorted by labels.
func (e *exemplarQuerier) Select(startMs, endMs int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	seen := map[string]bool{}
	out := []exemplar.QueryResult{}
	for _, matchers := range sets {
		list, err := e.q.reader.Exemplars(e.ctx, store.Selection{
			Tenant:     tenant.FromContext(e.ctx),
			Matchers:   matchers,
			MinMs:      startMs,
			MaxMs:      endMs,
			MaxSeries:  e.q.limits.MaxSeries,
			MaxSamples: e.q.limits.MaxSamples,
		})
		if err != nil {
			return nil, queryError(e.ctx, err)
		}
		for _, s := range list {
			if key := string(s.Labels.Bytes(nil)); !seen[key] {
				seen[key] = true
				out = append(out, result(s))
			}
		}
	}
	slices.SortFunc(out, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return out, nil
}

func result(s store.SeriesExemplars) exemplar.QueryResult {
	r := exemplar.QueryResult{SeriesLabels: s.Labels, Exemplars: make([]exemplar.Exemplar, 0, len(s.Exemplars))}
	for _, e := range s.Exemplars {
		r.Exemplars = append(r.Exemplars, exemplar.Exemplar{Labels: e.Labels, Value: e.Value, Ts: e.TimeMs, HasTs: true})
	}
	return r
}
