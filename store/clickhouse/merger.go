package clickhouse

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/value"

	"github.com/metricstream/metricstream/store"
)

// merger makes series of the rows of samples, which come in the order of series and time, and hands each on as
// soon as it is complete, so that only one is in memory.
type merger struct {
	series []foundSeries // sorted by key
	max    int           // samples; 0 is no limit
	yield  func(*store.SeriesData) error
	limits *prometheus.CounterVec

	// extras waits for what is known of the series beside float samples.
	extras func() (*extras, error)

	next    int               // the series before it are done or current
	current *store.SeriesData // nil: the rows belong to no series of the selection
	key     store.Key         // of current
	samples int
}

// add takes a block of rows.
func (m *merger) add(b *store.Samples) error {
	for i := 0; i < b.Len(); {
		key, j := store.Key{Metric: b.Metrics[i], ID: b.IDs[i]}, i+1
		for j < b.Len() && b.IDs[j] == key.ID && b.Metrics[j] == key.Metric {
			j++
		}
		if m.current == nil || m.key != key {
			if err := m.begin(key); err != nil {
				return err
			}
		}
		if m.current != nil {
			before := len(m.current.TimesMs)
			appendPoints(m.current, b, i, j)
			if err := m.count(len(m.current.TimesMs) - before); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}

// appendPoints appends rows i to j. Of the rows of one time only the one that readers see stays.
func appendPoints(d *store.SeriesData, b *store.Samples, i, j int) {
	d.TimesMs = slices.Grow(d.TimesMs, j-i)
	d.Values = slices.Grow(d.Values, j-i)
	for ; i < j; i++ {
		t, v := b.TimesMs[i], store.Decimal{Exp: b.Exps[i], Mant: b.Mants[i]}.Float()
		if n := len(d.TimesMs); n > 0 && d.TimesMs[n-1] == t {
			if store.Prefer(d.Values[n-1], v) {
				d.Values[n-1] = v
			}
			continue
		}
		d.TimesMs = append(d.TimesMs, t)
		d.Values = append(d.Values, v)
	}
}

func (m *merger) count(samples int) error {
	m.samples += samples
	if m.max > 0 && m.samples > m.max {
		return samplesLimit(m.limits, m.max)
	}
	return nil
}

func samplesLimit(limits *prometheus.CounterVec, most int) error {
	limits.WithLabelValues("samples").Inc()
	return store.TooMany(store.SamplesBound, most)
}

// begin completes the current series and those before key that have no float samples.
func (m *merger) begin(key store.Key) error {
	if err := m.end(); err != nil {
		return err
	}
	for m.next < len(m.series) && m.series[m.next].key.Compare(key) < 0 {
		if err := m.start(); err != nil {
			return err
		}
		if err := m.end(); err != nil {
			return err
		}
	}
	if m.next < len(m.series) && m.series[m.next].key == key {
		return m.start()
	}
	return nil
}

func (m *merger) start() error {
	m.current, m.key = &store.SeriesData{Key: m.series[m.next].key, Labels: m.series[m.next].labels}, m.series[m.next].key
	m.next++
	return nil
}

// end hands on the current series if it has points.
func (m *merger) end() error {
	d := m.current
	m.current = nil
	if d == nil {
		return nil
	}
	extras, err := m.extras()
	if err != nil {
		return err
	}
	if err := m.count(len(extras.histograms[m.key])); err != nil {
		return err
	}
	d.Starts = extras.starts[m.key]
	d.Histograms = extras.histograms[m.key]
	if len(d.Histograms) > 0 && len(d.TimesMs) > 0 {
		oneKindEach(d)
	}
	if len(d.TimesMs) == 0 && len(d.Histograms) == 0 {
		return nil
	}
	return m.yield(d)
}

// finish completes all series that are left.
func (m *merger) finish() error {
	if err := m.end(); err != nil {
		return err
	}
	for m.next < len(m.series) {
		if err := m.start(); err != nil {
			return err
		}
		if err := m.end(); err != nil {
			return err
		}
	}
	return nil
}

// oneKindEach leaves one sample at times that have a float and a histogram: the histogram, unless it is a stale
// marker and the float is not.
func oneKindEach(d *store.SeriesData) {
	floats, histograms, h := 0, d.Histograms[:0:0], 0
	for i, t := range d.TimesMs {
		for h < len(d.Histograms) && d.Histograms[h].TimeMs < t {
			histograms = append(histograms, d.Histograms[h])
			h++
		}
		if h < len(d.Histograms) && d.Histograms[h].TimeMs == t {
			if !staleHistogram(d.Histograms[h]) || value.IsStaleNaN(d.Values[i]) {
				continue
			}
			h++
		}
		d.TimesMs[floats], d.Values[floats] = t, d.Values[i]
		floats++
	}
	d.TimesMs, d.Values = d.TimesMs[:floats], d.Values[:floats]
	d.Histograms = append(histograms, d.Histograms[h:]...)
}

func staleHistogram(p store.HistogramPoint) bool {
	if p.Int != nil {
		return value.IsStaleNaN(p.Int.Sum)
	}
	return value.IsStaleNaN(p.Float.Sum)
}
