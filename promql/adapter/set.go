package adapter

import (
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// read is what one Select finds. The other fields may be looked at when done is closed.
type read struct {
	done chan struct{}
	list []storage.Series
	err  error

	warnings annotations.Annotations
}

// finish sorts the series, and keeps at most limit of them where limit is not 0.
func (r *read) finish(list []storage.Series, limit int, err error) {
	if err != nil {
		r.err = err
		return
	}
	slices.SortFunc(list, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	r.list = list
}

// seriesSet waits for the read when it is first asked.
type seriesSet struct {
	read *read
	at   int
}

func (s *seriesSet) Next() bool {
	<-s.read.done
	if s.at+1 >= len(s.read.list) {
		return false
	}
	s.at++
	return true
}

func (s *seriesSet) At() storage.Series { return s.read.list[s.at] }

func (s *seriesSet) Err() error {
	<-s.read.done
	return s.read.err
}

func (s *seriesSet) Warnings() annotations.Annotations {
	<-s.read.done
	return s.read.warnings
}

// series is one series as the engine sees it. Its iterators only read it.
type series struct{ data *store.SeriesData }

func (s *series) Labels() labels.Labels { return s.data.Labels }

func (s *series) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*iterator)
	if !ok {
		it = &iterator{}
	}
	it.reset(s.data)
	return it
}
