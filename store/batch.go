package store

import "github.com/prometheus/prometheus/model/labels"

// Batch is what travels from a receiver through the log to the tables: some samples and all that came with
// them. A batch may hold several tenants' data; a sample's tenant is in its key.
type Batch struct {
	// Class is the retention class of everything in the batch; 0 is the default's. How long rows are kept is
	// decided by it, so that they can be dropped in whole partitions.
	Class uint8

	// Series are the label sets behind the keys below. A receiver lists every series of its request. What
	// comes out of the log lists only the series that the reader of the log may not have seen yet.
	Series []Series

	Samples    Samples
	Starts     []Start
	Histograms []Histogram
	Exemplars  []Exemplar
	Metadata   []Metadata

	// Progress says how far the log had been read when all of the above was collected. It is written last,
	// so that a progress that can be read implies the data that it speaks of.
	Progress []Progress
}

// Series is the identity of one series and the time that this batch has of it.
type Series struct {
	Tenant string
	Key    Key
	Labels labels.Labels

	// MinMs and MaxMs are the earliest and the latest point of the series in the batch.
	MinMs, MaxMs int64

	// Has says which of its points are not plain samples. Readers look for histograms and starts only where a
	// series was listed with them, so whoever writes the first ones of a series must list it.
	Has Has
}

// Has is a set of what a series may have beside plain float samples.
type Has uint8

const (
	// HasHistograms is set for a series with native histograms.
	HasHistograms Has = 1 << iota
	// HasStarts is set for a series with start timestamps.
	HasStarts
)

// Samples are float samples as columns; all have the same length. A value is Decimal{Exps[i], Mants[i]}.
type Samples struct {
	Metrics []uint32
	IDs     []uint64
	TimesMs []int64
	Exps    []int8
	Mants   []int64
}

// Len returns the number of samples.
func (s *Samples) Len() int { return len(s.IDs) }

// Append adds a sample.
func (s *Samples) Append(k Key, timeMs int64, d Decimal) {
	s.Metrics = append(s.Metrics, k.Metric)
	s.IDs = append(s.IDs, k.ID)
	s.TimesMs = append(s.TimesMs, timeMs)
	s.Exps = append(s.Exps, d.Exp)
	s.Mants = append(s.Mants, d.Mant)
}

// Reset empties the columns and keeps their memory.
func (s *Samples) Reset() {
	s.Metrics = s.Metrics[:0]
	s.IDs = s.IDs[:0]
	s.TimesMs = s.TimesMs[:0]
	s.Exps = s.Exps[:0]
	s.Mants = s.Mants[:0]
}

// Start says that from the sample at TimeMs on, until a later Start of the series, samples have the start
// timestamp StartMs; 0 is none. A series without start timestamps has no Start.
type Start struct {
	Key             Key
	TimeMs, StartMs int64
}

// Histogram is one native histogram sample. Blob is its encoding by [AppendHistogram] or
// [AppendFloatHistogram]; Count and Sum stand in it too and are repeated for SQL.
type Histogram struct {
	Key        Key
	TimeMs     int64
	Count, Sum float64
	Blob       []byte
}

// Exemplar is one exemplar of a series.
type Exemplar struct {
	Key    Key
	TimeMs int64
	Value  float64
	Labels labels.Labels
}

// Metadata is what a sender said of a metric family. Type is Prometheus' word: counter, gauge, histogram,
// gaugehistogram, summary, info, stateset, unknown.
type Metadata struct {
	Tenant, Name     string
	Type, Help, Unit string
}

// Progress says that every record of a partition before NextOffset has been collected.
type Progress struct {
	Topic string

	// Generation tells a topic from another of its name before or after it: offsets of one generation say
	// nothing of another's. It is empty where the log has no generations.
	Generation string

	Partition  int32
	NextOffset int64

	// MaxMs is the latest sample among them.
	MaxMs int64
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Class = 0
	clear(b.Series)
	b.Series = b.Series[:0]
	b.Samples.Reset()
	b.Starts = b.Starts[:0]
	clear(b.Histograms)
	b.Histograms = b.Histograms[:0]
	clear(b.Exemplars)
	b.Exemplars = b.Exemplars[:0]
	clear(b.Metadata)
	b.Metadata = b.Metadata[:0]
	clear(b.Progress)
	b.Progress = b.Progress[:0]
}

// Empty reports whether the batch has no data; progress is not data.
func (b *Batch) Empty() bool {
	return len(b.Series) == 0 && b.Samples.Len() == 0 && len(b.Starts) == 0 && len(b.Histograms) == 0 &&
		len(b.Exemplars) == 0 && len(b.Metadata) == 0
}
