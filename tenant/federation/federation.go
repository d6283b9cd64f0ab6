// Package federation reads several tenants as one: under the name of several, see [tenant.FromReadRequest], each series
// has the label __tenant_id__ with the tenant that it is of, and matchers on this label choose tenants. It stands around
// a store that shows what a request may see of each single tenant, so it widens nothing. It leaves to package auth which
// tenants a request may name.
package federation

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/prometheus/prometheus/model/labels"
)

// atOnce is how many tenants of one read are read at the same time.
const atOnce = 4

// Reader is an [access.Store] of single tenants and of several. Series of several tenants come in the order of the
// tenants' names, and those of a tenant in the order of their keys. The bounds of a selection hold for all its tenants
// together. A read of one tenant goes straight through.
type Reader struct{ inner access.Store }

// New returns a reader over a store of single tenants.
func New(inner access.Store) *Reader { return &Reader{inner} }

var _ access.Store = (*Reader)(nil)

// Select implements [store.Reader], but for the order.
func (r *Reader) Select(ctx context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
	if !tenant.Several(s.Tenant) {
		return r.inner.Select(ctx, s, yield)
	}
	var series, samples atomic.Int64
	return each(ctx, divide(s), func(ctx context.Context, p part) (found []*store.SeriesData, err error) {
		err = r.inner.Select(ctx, p.selection, func(d *store.SeriesData) error {
			if d.Labels = mark(d.Labels, p.tenant()); !p.chooses(d.Labels) {
				return nil
			}
			found = append(found, d)
			if n := samples.Add(int64(len(d.TimesMs) + len(d.Histograms))); s.MaxSamples > 0 && n > int64(s.MaxSamples) {
				return store.TooMany(store.SamplesBound, s.MaxSamples)
			}
			return within(int(series.Add(1)), s.MaxSeries)
		})
		return found, err
	}, func(found []*store.SeriesData) error {
		for _, d := range found {
			if err := yield(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// Series implements [store.Reader].
func (r *Reader) Series(ctx context.Context, s store.Selection) ([]labels.Labels, error) {
	if !tenant.Several(s.Tenant) {
		return r.inner.Series(ctx, s)
	}
	return r.seriesOf(ctx, divide(s), s.MaxSeries)
}

func (r *Reader) seriesOf(ctx context.Context, parts []part, most int) (all []labels.Labels, err error) {
	err = each(ctx, parts, func(ctx context.Context, p part) ([]labels.Labels, error) {
		found, err := r.inner.Series(ctx, p.selection)
		kept := found[:0]
		for _, ls := range found {
			if ls = mark(ls, p.tenant()); p.chooses(ls) {
				kept = append(kept, ls)
			}
		}
		return kept, err
	}, func(found []labels.Labels) error {
		all = append(all, found...)
		return within(len(all), most)
	})
	return all, err
}

func within(n, most int) error {
	if most > 0 && n > most {
		return store.TooMany(store.SeriesBound, most)
	}
	return nil
}

// LabelNames implements [store.Reader].
func (r *Reader) LabelNames(ctx context.Context, s store.Selection) ([]string, error) {
	if !tenant.Several(s.Tenant) {
		return r.inner.LabelNames(ctx, s)
	}
	parts := divide(s)
	if looksAtMoved(s.Matchers) {
		return r.stringsOf(ctx, parts, s.MaxSeries, func(ls labels.Labels, add func(string)) {
			ls.Range(func(l labels.Label) { add(l.Name) })
		})
	}
	return r.strings(ctx, parts, s.MaxSeries, func(ctx context.Context, p part) ([]string, error) {
		names, err := r.inner.LabelNames(ctx, p.selection)
		if len(names) == 0 {
			return nil, err
		}
		// A series without labels has none to show, and one with any has the tenant's beside.
		all := append(names, Label)
		for name := Label; slices.Contains(names, name); name = moved(name) {
			all = append(all, moved(name))
		}
		return all, err
	})
}

// LabelValues implements [store.Reader].
func (r *Reader) LabelValues(ctx context.Context, name string, s store.Selection) ([]string, error) {
	if !tenant.Several(s.Tenant) {
		return r.inner.LabelValues(ctx, name, s)
	}
	parts := divide(s)
	switch {
	case looksAtMoved(s.Matchers) || isMoved(name):
		return r.stringsOf(ctx, parts, s.MaxSeries, func(ls labels.Labels, add func(string)) {
			if v := ls.Get(name); v != "" {
				add(v)
			}
		})
	case name == Label:
		return r.strings(ctx, parts, s.MaxSeries, func(ctx context.Context, p part) ([]string, error) {
			names, err := r.inner.LabelNames(ctx, p.selection)
			if err != nil || len(names) == 0 {
				return nil, err
			}
			return []string{p.tenant()}, nil
		})
	}
	return r.strings(ctx, parts, s.MaxSeries, func(ctx context.Context, p part) ([]string, error) {
		return r.inner.LabelValues(ctx, name, p.selection)
	})
}

// strings merges what is read of each tenant.
func (r *Reader) strings(ctx context.Context, parts []part, most int, read func(context.Context, part) ([]string, error)) ([]string, error) {
	all := []string{}
	err := each(ctx, parts, read, func(found []string) error {
		all = append(all, found...)
		slices.Sort(all)
		all = slices.Compact(all)
		return within(len(all), most)
	})
	return all, err
}

// stringsOf merges what is taken of each series, where a store's own lists do not know what it is called here.
func (r *Reader) stringsOf(ctx context.Context, parts []part, most int, take func(ls labels.Labels, add func(string))) ([]string, error) {
	found, err := r.seriesOf(ctx, parts, most)
	seen := map[string]bool{}
	all := []string{}
	for _, ls := range found {
		take(ls, func(s string) {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		})
	}
	slices.Sort(all)
	return all, err
}

// Exemplars implements [store.ExemplarReader].
func (r *Reader) Exemplars(ctx context.Context, s store.Selection) ([]store.SeriesExemplars, error) {
	if !tenant.Several(s.Tenant) {
		return r.inner.Exemplars(ctx, s)
	}
	var all []store.SeriesExemplars
	err := each(ctx, divide(s), func(ctx context.Context, p part) ([]store.SeriesExemplars, error) {
		found, err := r.inner.Exemplars(ctx, p.selection)
		kept := found[:0]
		for _, one := range found {
			if one.Labels = mark(one.Labels, p.tenant()); p.chooses(one.Labels) {
				kept = append(kept, one)
			}
		}
		return kept, err
	}, func(found []store.SeriesExemplars) error {
		all = append(all, found...)
		return within(len(all), s.MaxSeries)
	})
	return all, err
}

// Metadata implements [store.MetadataReader]. What several tenants say alike is there once.
func (r *Reader) Metadata(ctx context.Context, id, name string) ([]store.Metadata, error) {
	if !tenant.Several(id) {
		return r.inner.Metadata(ctx, id, name)
	}
	var all []store.Metadata
	err := each(ctx, divide(store.Selection{Tenant: id}), func(ctx context.Context, p part) ([]store.Metadata, error) {
		return r.inner.Metadata(ctx, p.tenant(), name)
	}, func(found []store.Metadata) error {
		for _, m := range found {
			m.Tenant = id
			all = append(all, m)
		}
		return nil
	})
	slices.SortStableFunc(all, func(x, y store.Metadata) int { return strings.Compare(x.Name, y.Name) })
	return distinct(all), err
}

// distinct keeps the first of what is equal; all is sorted by name.
func distinct(all []store.Metadata) []store.Metadata {
	kept := all[:0]
	for _, m := range all {
		again := false
		for i := len(kept) - 1; i >= 0 && kept[i].Name == m.Name && !again; i-- {
			again = kept[i] == m
		}
		if !again {
			kept = append(kept, m)
		}
	}
	return kept
}

// Stats implements [store.StatsReader]: counts of several tenants do not add up to anything.
func (r *Reader) Stats(ctx context.Context, id string, limit int) (store.Stats, error) {
	if tenant.Several(id) {
		return store.Stats{}, store.Invalidf("statistics are of one tenant; ask for each of them by a request of its own")
	}
	return r.inner.Stats(ctx, id, limit)
}
