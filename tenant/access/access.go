// Package access narrows what stores show to what the context of a read allows: it adds the matchers of
// [tenant.WithMatchers] to every selection, so that no caller can forget them. It stands directly around the store, below
// all that plans, evaluates or remembers.
package access

import (
	"context"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/labels"
)

// Store is all that can be read of a store.
type Store interface {
	store.Reader
	store.ExemplarReader
	store.MetadataReader
	store.StatsReader
}

// Reader is a [Store] that shows of another one what the context allows.
type Reader struct{ inner Store }

// New returns a narrowed store.
func New(inner Store) *Reader { return &Reader{inner} }

// narrow adds the context's matchers to a selection, whose own slice stays as it is.
func narrow(ctx context.Context, s store.Selection) store.Selection {
	if ms := tenant.MatchersFrom(ctx); len(ms) > 0 {
		s.Matchers = append(slices.Clip(s.Matchers), ms...)
	}
	return s
}

// Select implements [store.Reader].
func (r *Reader) Select(ctx context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
	return r.inner.Select(ctx, narrow(ctx, s), yield)
}

// Series implements [store.Reader].
func (r *Reader) Series(ctx context.Context, s store.Selection) ([]labels.Labels, error) {
	return r.inner.Series(ctx, narrow(ctx, s))
}

// LabelNames implements [store.Reader].
func (r *Reader) LabelNames(ctx context.Context, s store.Selection) ([]string, error) {
	return r.inner.LabelNames(ctx, narrow(ctx, s))
}

// LabelValues implements [store.Reader].
func (r *Reader) LabelValues(ctx context.Context, name string, s store.Selection) ([]string, error) {
	return r.inner.LabelValues(ctx, name, narrow(ctx, s))
}

// Exemplars implements [store.ExemplarReader].
func (r *Reader) Exemplars(ctx context.Context, s store.Selection) ([]store.SeriesExemplars, error) {
	return r.inner.Exemplars(ctx, narrow(ctx, s))
}

// Stats implements [store.StatsReader]. Counts over all series cannot be narrowed.
func (r *Reader) Stats(ctx context.Context, id string, limit int) (store.Stats, error) {
	if len(tenant.MatchersFrom(ctx)) > 0 {
		return store.Stats{}, store.Invalidf("statistics are over all series of a tenant, and a key with a selector may not read them all")
	}
	return r.inner.Stats(ctx, id, limit)
}

const (
	minMs = -1 << 53
	maxMs = 1 << 53
)

// familySuffixes are what the series of a family may have behind its name, which metadata is listed by.
var familySuffixes = []string{"", "_bucket", "_count", "_sum", "_total", "_created", "_info"}

// Metadata implements [store.MetadataReader]. Where the context has matchers, only metrics with a series that they
// choose are shown.
func (r *Reader) Metadata(ctx context.Context, id, name string) ([]store.Metadata, error) {
	all, err := r.inner.Metadata(ctx, id, name)
	ms := tenant.MatchersFrom(ctx)
	if err != nil || len(ms) == 0 || len(all) == 0 {
		return all, err
	}
	names, err := r.inner.LabelValues(ctx, labels.MetricName, store.Selection{Tenant: id, Matchers: ms, MinMs: minMs, MaxMs: maxMs})
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		seen[n] = true
	}
	var kept []store.Metadata
	for _, m := range all {
		if slices.ContainsFunc(familySuffixes, func(suffix string) bool { return seen[m.Name+suffix] }) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// Rollups is a [rollup.Reader] that shows of another one what the context allows.
type Rollups struct{ inner rollup.Reader }

// NewRollups returns a narrowed reader of tiers.
func NewRollups(inner rollup.Reader) *Rollups { return &Rollups{inner} }

// SelectRollups implements [rollup.Reader].
func (r *Rollups) SelectRollups(ctx context.Context, s rollup.Selection, yield func(*rollup.Series) error) error {
	s.Selection = narrow(ctx, s.Selection)
	return r.inner.SelectRollups(ctx, s, yield)
}

// Coverage implements [rollup.Reader]: which hours are complete is no secret within a tenant.
func (r *Rollups) Coverage(ctx context.Context, id string) (rollup.Coverage, error) {
	return r.inner.Coverage(ctx, id)
}
