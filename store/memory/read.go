package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Select implements [store.Reader].
func (s *Store) Select(ctx context.Context, sel store.Selection, yield func(*store.SeriesData) error) error {
	list, err := s.read(ctx, sel)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := yield(d); err != nil {
			return err
		}
	}
	return nil
}

// read collects a selection, so that no lock is held while it is handed out.
func (s *Store) read(ctx context.Context, sel store.Selection) ([]*store.SeriesData, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*store.SeriesData
	samples := 0
	for _, o := range s.chosen(sel) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := o.read(sel.MinMs, sel.MaxMs)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		out = append(out, d)
		samples += len(d.TimesMs) + len(d.Histograms)
		if err := within(sel, len(out), samples); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func within(sel store.Selection, series, samples int) error {
	if sel.MaxSeries > 0 && series > sel.MaxSeries {
		return store.TooMany(store.SeriesBound, sel.MaxSeries)
	}
	if sel.MaxSamples > 0 && samples > sel.MaxSamples {
		return store.TooMany(store.SamplesBound, sel.MaxSamples)
	}
	return nil
}

// chosen returns the tenant's series that match and may have a point in the selection, in the order of the keys.
func (s *Store) chosen(sel store.Selection) []*series {
	var out []*series
	for _, o := range s.series {
		if o.known && o.tenant == sel.Tenant && o.livesIn(sel.MinMs, sel.MaxMs) && matches(o.labels, sel.Matchers) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *series) int { return a.key.Compare(b.key) })
	return out
}

// matches reports whether all matchers hold; a missing label is the empty string.
func matches(ls labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// Series implements [store.Reader].
func (s *Store) Series(_ context.Context, sel store.Selection) ([]labels.Labels, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	chosen := s.chosen(sel)
	if err := within(sel, len(chosen), 0); err != nil {
		return nil, err
	}
	var out []labels.Labels
	for _, o := range chosen {
		out = append(out, o.labels)
	}
	return out, nil
}

// LabelNames implements [store.Reader].
func (s *Store) LabelNames(ctx context.Context, sel store.Selection) ([]string, error) {
	list, err := s.Series(ctx, sel)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, ls := range list {
		ls.Range(func(l labels.Label) { names[l.Name] = true })
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// LabelValues implements [store.Reader].
func (s *Store) LabelValues(ctx context.Context, name string, sel store.Selection) ([]string, error) {
	list, err := s.Series(ctx, sel)
	if err != nil {
		return nil, err
	}
	values := map[string]bool{}
	for _, ls := range list {
		if v := ls.Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), nil
}

// Exemplars implements [store.ExemplarReader].
func (s *Store) Exemplars(_ context.Context, sel store.Selection) ([]store.SeriesExemplars, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []store.SeriesExemplars
	for _, o := range s.chosen(sel) {
		if list := o.exemplarsIn(sel.MinMs, sel.MaxMs); len(list) > 0 {
			out = append(out, store.SeriesExemplars{Labels: o.labels, Exemplars: list})
		}
	}
	return out, nil
}

// Metadata implements [store.MetadataReader].
func (s *Store) Metadata(_ context.Context, tenant, name string) ([]store.Metadata, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []store.Metadata
	for k, m := range s.metadata {
		if k.tenant == tenant && (name == "" || k.name == name) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b store.Metadata) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
