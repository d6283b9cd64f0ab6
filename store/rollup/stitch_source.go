package rollup

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/metricstream/metricstream/store"
)

// source hands out series in the order of their keys, one at a time: it turns a read that pushes them around.
type source struct {
	isTier bool
	pull   func() (*Series, error, bool)
	stop   func()

	head *Series // nil at the end
}

var errStopped = errors.New("nobody reads on")

// newSource makes a source of a read. A series that it emits stays as it is until emit returns.
func newSource(read func(emit func(*Series) error) error) *source {
	s := &source{}
	s.pull, s.stop = iter.Pull2(func(yield func(*Series, error) bool) {
		err := read(func(one *Series) error {
			if !yield(one, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	})
	return s
}

// next moves on to the next series.
func (s *source) next() error {
	last := s.head
	var lastKey store.Key
	if last != nil {
		lastKey = last.Key
	}
	var err error
	if s.head, err, _ = s.pull(); err != nil {
		s.head = nil
		return err
	}
	if last != nil && s.head != nil && lastKey.Compare(s.head.Key) >= 0 {
		return errors.New("cannot stitch rows: a reader hands out series that are not in the order of their keys")
	}
	return nil
}

// streamTier reads the rows of the tables in spans, of which there is at least one.
func (s *Stitch) streamTier(ctx context.Context, sel Selection, spans []Span) *source {
	sel.MinMs, sel.MaxMs = spans[0].FromMs+1, spans[len(spans)-1].ToMs
	var inside Series
	out := newSource(func(emit func(*Series) error) error {
		return s.tiers.SelectRollups(ctx, sel, func(r *Series) error {
			sel.Read.Rows += int64(r.Rows.Len() + len(r.Histograms))
			if len(spans) > 1 || hasVoid(r) {
				keepInside(&inside, r, spans)
				r = &inside
			}
			if r.Rows.Len()+len(r.Histograms) == 0 {
				return nil
			}
			return emit(r)
		})
	})
	out.isTier = true
	return out
}

// hasVoid reports whether a series has rows that answer nothing.
func hasVoid(r *Series) bool {
	return slices.ContainsFunc(r.Rows.Flags, func(f Flags) bool { return f&Void != 0 }) ||
		slices.ContainsFunc(r.Histograms, func(h HistogramRow) bool { return h.Flags&Void != 0 })
}

// keepInside copies what lies in the spans and is not void.
func keepInside(dst, r *Series, spans []Span) {
	dst.Key, dst.Labels = r.Key, r.Labels
	dst.Rows.Reset()
	dst.Histograms = dst.Histograms[:0]
	for i := 0; i < r.Rows.Len(); {
		from := i
		keep := func(i int) bool { return r.Rows.Flags[i]&Void == 0 && contains(spans, r.Rows.EndsMs[i]) }
		inside := keep(i)
		for i < r.Rows.Len() && keep(i) == inside {
			i++
		}
		if inside {
			dst.Rows.AppendRows(&r.Rows, from, i)
		}
	}
	for i := range r.Histograms {
		if r.Histograms[i].Flags&Void == 0 && contains(spans, r.Histograms[i].EndMs) {
			dst.Histograms = append(dst.Histograms, r.Histograms[i])
		}
	}
}

// readRaw reads a span of raw and folds it. A series belongs to emit, or is used again where space is given.
func (s *Stitch) readRaw(ctx context.Context, sel Selection, span Span, space *Series, emit func(*Series) error) error {
	var f Folder
	sel.MinMs, sel.MaxMs = span.FromMs+1, span.ToMs
	return s.raw.Select(ctx, sel.Selection, func(d *store.SeriesData) error {
		sel.Read.Samples += int64(len(d.TimesMs) + len(d.Histograms))
		out := space
		if out == nil {
			out = &Series{}
		}
		out.Key, out.Labels, out.Histograms = d.Key, d.Labels, nil
		out.Rows.Reset()
		f.Fold(out, d, sel.Tier, sel.Columns)
		return emit(out)
	})
}

// streamRaw reads rows of a span of raw.
func (s *Stitch) streamRaw(ctx context.Context, sel Selection, span Span) *source {
	return newSource(func(emit func(*Series) error) error {
		return s.readRaw(ctx, sel, span, &Series{}, emit)
	})
}

// keepRaw reads rows of a span of raw into memory.
func (s *Stitch) keepRaw(ctx context.Context, sel Selection, span Span) (*source, error) {
	var list []*Series
	err := s.readRaw(ctx, sel, span, nil, func(one *Series) error {
		list = append(list, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newSource(func(emit func(*Series) error) error {
		for _, one := range list {
			if err := emit(one); err != nil {
				return err
			}
		}
		return nil
	}), nil
}
