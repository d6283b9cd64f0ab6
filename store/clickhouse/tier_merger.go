package clickhouse

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// tierMerger makes series of the rows of a tier, as merger does of samples. The memory of one series is used for the next.
type tierMerger struct {
	series     []foundSeries // sorted by key
	streams    []*tierStream // in order of time
	histograms map[store.Key][]rollup.HistogramRow
	max        int // rows; 0 is no limit
	yield      func(*rollup.Series) error
	limits     *prometheus.CounterVec

	next    int // the series before it are done
	current rollup.Series
	total   int // rows
}

// errTwice says that a bucket has several rows and their versions were not read.
var errTwice = errors.New("a bucket has several rows")

// left returns the series that are not done.
func (m *tierMerger) left() []foundSeries { return m.series[m.next:] }

// back ends the reads, and goes back to where the series began that could not be put together. What was taken of it counts
// twice, which is little beside what max allows.
func (m *tierMerger) back() {
	m.stop()
	m.streams = m.streams[:0]
	m.next--
}

func (m *tierMerger) stop() {
	for _, t := range m.streams {
		t.stop()
	}
}

// merge hands on all series that have rows.
func (m *tierMerger) merge() error {
	for {
		key, ok, err := m.smallest()
		if err != nil {
			return err
		}
		for m.next < len(m.series) && (!ok || m.series[m.next].key.Compare(key) < 0) {
			if err := m.onlyHistograms(); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		if err := m.one(key); err != nil {
			return err
		}
	}
}

// smallest returns the smallest key that a stream has rows of.
func (m *tierMerger) smallest() (key store.Key, ok bool, err error) {
	for _, t := range m.streams {
		if err := t.next(); err != nil {
			return key, false, err
		}
		if t.ended() {
			continue
		}
		if k := t.keyAt(t.at); !ok || k.Compare(key) < 0 {
			key, ok = k, true
		}
	}
	return key, ok, nil
}

// one takes the rows of a series out of all streams, and hands it on if it is among those that are looked for.
func (m *tierMerger) one(key store.Key) error {
	var rows *rollup.Rows
	if m.next < len(m.series) && m.series[m.next].key == key {
		m.start()
		rows = &m.current.Rows
	}
	for _, t := range m.streams {
		for !t.ended() && t.keyAt(t.at) == key {
			n, err := t.take(key, rows)
			if err != nil {
				return err
			}
			if m.total += n; m.max > 0 && m.total > m.max {
				return samplesLimit(m.limits, m.max)
			}
			if err := t.next(); err != nil {
				return err
			}
		}
	}
	if rows == nil {
		return nil
	}
	return m.yield(&m.current)
}

// start makes the next series the current one.
func (m *tierMerger) start() {
	f := &m.series[m.next]
	m.next++
	truncate(&m.current.Rows, 0)
	m.current.Key, m.current.Labels, m.current.Histograms = f.key, f.labels, m.histograms[f.key]
}

// onlyHistograms hands on the next series, which has no other rows, if it has any.
func (m *tierMerger) onlyHistograms() error {
	m.start()
	if len(m.current.Histograms) == 0 {
		return nil
	}
	return m.yield(&m.current)
}
