package api_test

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/metricstream/metricstream/store"
)

// tsdbReader is a store.Reader over any Queryable, so that the same data can stand behind Prometheus' API and
// ours.
type tsdbReader struct{ q storage.Queryable }

func (r tsdbReader) Select(ctx context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
	return r.each(ctx, s, func(series storage.Series) error {
		d := &store.SeriesData{Labels: series.Labels()}
		for it := series.Iterator(nil); ; {
			switch it.Next() {
			case chunkenc.ValNone:
				if len(d.TimesMs)+len(d.Histograms) == 0 {
					return nil
				}
				return yield(d)
			case chunkenc.ValFloat:
				ts, v := it.At()
				d.TimesMs, d.Values = append(d.TimesMs, ts), append(d.Values, v)
			default:
				ts, h := it.AtFloatHistogram(nil)
				d.Histograms = append(d.Histograms, store.HistogramPoint{TimeMs: ts, Float: h})
			}
		}
	})
}

func (r tsdbReader) each(ctx context.Context, s store.Selection, f func(storage.Series) error) error {
	q, err := r.q.Querier(s.MinMs, s.MaxMs)
	if err != nil {
		return err
	}
	defer q.Close()
	set := q.Select(ctx, false, nil, s.Matchers...)
	for set.Next() {
		if err := f(set.At()); err != nil {
			return err
		}
	}
	return set.Err()
}

func (r tsdbReader) Series(ctx context.Context, s store.Selection) ([]labels.Labels, error) {
	var all []labels.Labels
	err := r.each(ctx, s, func(series storage.Series) error {
		all = append(all, series.Labels())
		if s.MaxSeries > 0 && len(all) > s.MaxSeries {
			return store.Limitf("more than %d series", s.MaxSeries)
		}
		return nil
	})
	return all, err
}

func (r tsdbReader) LabelNames(ctx context.Context, s store.Selection) ([]string, error) {
	q, err := r.q.Querier(s.MinMs, s.MaxMs)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	names, _, err := q.LabelNames(ctx, &storage.LabelHints{Limit: math.MaxInt}, s.Matchers...)
	return names, err
}

func (r tsdbReader) LabelValues(ctx context.Context, name string, s store.Selection) ([]string, error) {
	q, err := r.q.Querier(s.MinMs, s.MaxMs)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	vs, _, err := q.LabelValues(ctx, name, &storage.LabelHints{Limit: math.MaxInt}, s.Matchers...)
	return vs, err
}

// failingQueryable fails after the series have been read.
type failingQueryable struct{ storage.Queryable }

func (f failingQueryable) Querier(minMs, maxMs int64) (storage.Querier, error) {
	q, err := f.Queryable.Querier(minMs, maxMs)
	return failingQuerier{q}, err
}

type failingQuerier struct{ storage.Querier }

func (f failingQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return failingSet{f.Querier.Select(ctx, sorted, hints, ms...)}
}

type failingSet struct{ storage.SeriesSet }

func (failingSet) Err() error { return errors.New("lost in the middle") }
