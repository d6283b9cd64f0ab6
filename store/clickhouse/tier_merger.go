package clickhouse

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// tierMerger makes series of the rows of a tier, as merger does of samples. The memory of one series is used for the next.
type tierMerger struct {
	series     []foundSeries // sorted by key
	histograms map[store.Key][]rollup.HistogramRow
	max        int // rows; 0 is no limit
	yield      func(*rollup.Series) error
	limits     *prometheus.CounterVec
	rows       rowsReader

	next    int // the series before it are done or current
	open    bool
	current rollup.Series
	total   int
}

// add takes a block of rows.
func (m *tierMerger) add(rows int) error {
	c := m.rows.c
	if m.total += rows; m.max > 0 && m.total > m.max {
		return samplesLimit(m.limits, m.max)
	}
	for i := 0; i < rows; {
		key, j := store.Key{Metric: c.keys.metrics[i], ID: c.keys.ids[i]}, i+1
		for j < rows && c.keys.ids[j] == key.ID && c.keys.metrics[j] == key.Metric {
			j++
		}
		if !m.open || m.current.Key != key {
			if err := m.begin(key); err != nil {
				return err
			}
		}
		if m.open && m.current.Key == key {
			m.rows.appendRows(&m.current.Rows, i, j)
		}
		i = j
	}
	return nil
}

// begin hands on the current series and those before key that have only histograms, and opens that of key.
func (m *tierMerger) begin(key store.Key) error {
	if err := m.end(); err != nil {
		return err
	}
	for ; m.next < len(m.series) && m.series[m.next].key.Compare(key) < 0; m.next++ {
		m.start()
		if err := m.end(); err != nil {
			return err
		}
	}
	if m.next < len(m.series) && m.series[m.next].key == key {
		m.start()
		m.next++
	}
	return nil
}

func (m *tierMerger) start() {
	m.open = true
	f := &m.series[m.next]
	truncate(&m.current.Rows, 0)
	m.current.Key, m.current.Labels, m.current.Histograms = f.key, f.labels, m.histograms[f.key]
}

// end hands on the current series if it has rows.
func (m *tierMerger) end() error {
	if !m.open {
		return nil
	}
	m.open = false
	if len(m.current.Rows.EndsMs) == 0 && len(m.current.Histograms) == 0 {
		return nil
	}
	return m.yield(&m.current)
}

// finish hands on all series that are left.
func (m *tierMerger) finish() error {
	if err := m.end(); err != nil {
		return err
	}
	for ; m.next < len(m.series); m.next++ {
		m.start()
		if err := m.end(); err != nil {
			return err
		}
	}
	return nil
}
