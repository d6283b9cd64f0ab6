// Package list owns what a log still holds of points that were erased from the tables: whoever writes records of the log
// into tables again leaves out what the list has. It is pure; where lists are kept is left to its callers.
package list

import (
	"math"

	"github.com/metricstream/metricstream/store"
)

// Range is a span of time, both ends included.
type Range struct{ MinMs, MaxMs int64 }

// All is all time.
func All() Range { return Range{MinMs: math.MinInt64, MaxMs: math.MaxInt64} }

// Has tells whether a time lies in the range.
func (r Range) Has(timeMs int64) bool { return timeMs >= r.MinMs && timeMs <= r.MaxMs }

// Whole tells whether it is all time.
func (r Range) Whole() bool { return r == All() }

// Entry is one erasure: of the records before the ends, what it says is not to be written any more. It does not change once
// it is applied.
type Entry struct {
	ID, Tenant string

	// Version changes with what the entry holds.
	Version string

	// Pending says that only the request is there: nobody knows yet where the log ended, or which series it is about. Dead
	// letters wait until it is known.
	Pending bool

	// Generation and Ends say which records of which topic: those of a partition before its end.
	Generation string
	Ends       map[int32]int64

	// NotedMs is when the ends were noted.
	NotedMs int64

	// Clean says that it is known which series have nothing left, and Done that all is erased.
	Clean, Done bool

	Range Range

	// Keys are the series whose points in the range are erased, nil while they are not loaded.
	Keys *Keys

	// Gone are those of them of which nothing is left; so their label sets are erased too.
	Gone *Keys

	// Families are the metrics whose metadata is erased, and AllFamilies says that the tenant's all are.
	Families    map[string]bool
	AllFamilies bool

	// AllGone says that nothing is left of any of the series, because the tenant is deleted.
	AllGone bool
}

// Covers tells whether the entry concerns a record.
func (e *Entry) Covers(generation string, partition int32, offset int64) bool {
	return offset < e.Ends[partition] && generation == e.Generation
}

// Mark is where the rows of a record begin in a batch that has others before them.
type Mark struct{ series, samples, starts, histograms, exemplars, metadata int }

// MarkOf returns the end of a batch: what is appended later comes behind it.
func MarkOf(b *store.Batch) Mark {
	return Mark{len(b.Series), b.Samples.Len(), len(b.Starts), len(b.Histograms), len(b.Exemplars), len(b.Metadata)}
}

// Apply removes from the rows behind a mark those that are erased, in place, and returns how many it removed. Keys must be
// loaded.
func (e *Entry) Apply(b *store.Batch, from Mark) int {
	before := rows(b)
	b.Series = keep(b.Series, from.series, func(s *store.Series) bool { return !e.Gone.Has(s.Key) })
	e.samples(&b.Samples, from.samples)
	b.Starts = keep(b.Starts, from.starts, e.keepStart)
	b.Histograms = keep(b.Histograms, from.histograms, func(h *store.Histogram) bool { return !e.has(h.Key, h.TimeMs) })
	b.Exemplars = keep(b.Exemplars, from.exemplars, func(x *store.Exemplar) bool { return !e.has(x.Key, x.TimeMs) })
	b.Metadata = keep(b.Metadata, from.metadata, func(m *store.Metadata) bool {
		return m.Tenant != e.Tenant || !e.AllFamilies && !e.Families[m.Name]
	})
	return before - rows(b)
}

func rows(b *store.Batch) int {
	return len(b.Series) + b.Samples.Len() + len(b.Starts) + len(b.Histograms) + len(b.Exemplars) + len(b.Metadata)
}

func (e *Entry) has(k store.Key, timeMs int64) bool { return e.Range.Has(timeMs) && e.Keys.Has(k) }

// keepStart tells whether a start timestamp stays. One in the range still holds for the samples behind the range, so there
// it moves to where these begin.
func (e *Entry) keepStart(s *store.Start) bool {
	switch {
	case !e.has(s.Key, s.TimeMs):
		return true
	case e.Range.MaxMs == math.MaxInt64 || e.Gone.Has(s.Key):
		return false
	}
	s.TimeMs = e.Range.MaxMs + 1
	return true
}

// samples removes samples; neighbours of one series are looked up once.
func (e *Entry) samples(s *store.Samples, from int) {
	out, n := from, s.Len()
	for i := from; i < n; {
		j := i + 1
		for j < n && s.IDs[j] == s.IDs[i] && s.Metrics[j] == s.Metrics[i] {
			j++
		}
		erased := e.Keys.Has(store.Key{Metric: s.Metrics[i], ID: s.IDs[i]})
		for ; i < j; i++ {
			if erased && e.Range.Has(s.TimesMs[i]) {
				continue
			}
			if out != i {
				s.Metrics[out], s.IDs[out], s.TimesMs[out], s.Exps[out], s.Mants[out] = s.Metrics[i], s.IDs[i], s.TimesMs[i], s.Exps[i], s.Mants[i]
			}
			out++
		}
	}
	s.Metrics, s.IDs, s.TimesMs, s.Exps, s.Mants = s.Metrics[:out], s.IDs[:out], s.TimesMs[:out], s.Exps[:out], s.Mants[:out]
}

// keep is slices.DeleteFunc for what is behind an index, with a predicate that may change what stays.
func keep[T any](all []T, from int, stays func(*T) bool) []T {
	out := from
	for i := from; i < len(all); i++ {
		if !stays(&all[i]) {
			continue
		}
		if out != i {
			all[out] = all[i]
		}
		out++
	}
	clear(all[out:])
	return all[:out]
}

// Only leaves in a batch, in place, what is of the entry's series, and the metadata that it is about, at whatever time.
func (e *Entry) Only(b *store.Batch) {
	b.Series = keep(b.Series, 0, func(s *store.Series) bool { return e.Keys.Has(s.Key) })
	b.Starts = keep(b.Starts, 0, func(s *store.Start) bool { return e.Keys.Has(s.Key) })
	b.Histograms = keep(b.Histograms, 0, func(h *store.Histogram) bool { return e.Keys.Has(h.Key) })
	b.Exemplars = keep(b.Exemplars, 0, func(x *store.Exemplar) bool { return e.Keys.Has(x.Key) })
	b.Metadata = keep(b.Metadata, 0, func(m *store.Metadata) bool {
		return m.Tenant == e.Tenant && (e.AllFamilies || e.Families[m.Name])
	})
	s, out := &b.Samples, 0
	for i := range s.IDs {
		if !e.Keys.Has(store.Key{Metric: s.Metrics[i], ID: s.IDs[i]}) {
			continue
		}
		s.Metrics[out], s.IDs[out], s.TimesMs[out], s.Exps[out], s.Mants[out] = s.Metrics[i], s.IDs[i], s.TimesMs[i], s.Exps[i], s.Mants[i]
		out++
	}
	s.Metrics, s.IDs, s.TimesMs, s.Exps, s.Mants = s.Metrics[:out], s.IDs[:out], s.TimesMs[:out], s.Exps[:out], s.Mants[:out]
}

// TableCount says how many rows of an erasure a table has. Query is what counted them.
type TableCount struct {
	Table string
	Rows  uint64
	Query string
}
