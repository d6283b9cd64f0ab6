// Package rollup owns downsampled series: what a row of a tier holds, the fold that makes rows of samples, and the
// loop that folds the hours of the raw tier. The fold is pure, and rows that lie side by side merge, so that an
// hour's row is the fold of its sixty minutes, and a window's answer the merge of its rows.
//
// A bucket is open on the left and closed on the right, as PromQL's windows are: the row with the end T has the
// samples in (T-step, T].
package rollup

import (
	"context"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Tier is a resolution in which series are kept.
type Tier uint8

const (
	// Raw is every sample.
	Raw Tier = iota
	// Minute has a row for each series and minute with samples.
	Minute
	// Hour has a row for each series and hour with samples.
	Hour
)

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
)

// StepMs returns the width of the tier's buckets in milliseconds; 0 for Raw.
func (t Tier) StepMs() int64 { return [...]int64{0, minuteMs, hourMs}[t] }

// String returns the tier's name: raw, 1m, 1h.
func (t Tier) String() string { return [...]string{"raw", "1m", "1h"}[t] }

// EndMs returns the end of the bucket that a time lies in: the time itself where it is a multiple of the step.
func EndMs(timeMs, stepMs int64) int64 {
	end := timeMs / stepMs * stepMs
	if end < timeMs {
		end += stepMs
	}
	return end
}

// Columns is a set of the columns of [Rows]. The time, N and Flags are always there.
type Columns uint16

const (
	// FirstColumns are FirstMs, First and FirstStartMs; the others are named alike.
	FirstColumns Columns = 1 << iota
	LastColumns
	PrevColumns
	SumColumn
	MinColumn
	MaxColumn
	CompColumn
	ResetsColumn
	ChangesColumn
	M2Column
	StaleColumn

	// AllColumns are all of them.
	AllColumns Columns = 1<<iota - 1
)

// Flags say what of a bucket is not in its row.
type Flags uint8

// NeedsRaw is set where a row cannot answer for its samples: floats and histograms in one bucket, or histograms
// whose bounds cannot be merged. Readers take the raw samples of the series.
const NeedsRaw Flags = 1

// LastResets is set where the last sample of the bucket is a counter reset against the sample before it, by its value
// or its start timestamp. It is defined where the bucket has both.
const LastResets Flags = 2

// SecondResets is set on a histogram row where the second sample of the bucket is a counter reset against the first.
// Comp leaves the first sample out then, because the engine ignores the first sample of a window that a reset follows:
// a reader adds First to Comp wherever the row is not the first of its window.
const SecondResets Flags = 4

// StartOverlap is set where the start timestamp of a sample lies before the sample before it and is not that one's
// start timestamp: PromQL warns of it.
const StartOverlap Flags = 8

// HasGauge is set on a histogram row where some histogram is a gauge, HasCounter where some is not: PromQL warns where
// a function does not go with what it is given.
const (
	HasGauge   Flags = 16
	HasCounter Flags = 32
)

// NoMinutes is set on the row of an hour whose series is so sparse that its minutes have no rows: raw has the same in
// less space.
const NoMinutes Flags = 64

// Void is set on the row of a bucket whose samples are gone: it answers nothing, and hides an older row. See [Writer].
const Void Flags = 128

// Rows are the float rows of one series in order of time, as columns. All slices that were asked for have the same
// length; the others are nil. A bucket in which the series had only stale markers has N = 0 and StaleMs; one
// without anything has no row.
type Rows struct {
	// EndsMs are the ends of the buckets.
	EndsMs []int64

	// N counts the samples that are not stale markers.
	N     []uint32
	Flags []Flags

	// StaleMs is the time of the last stale marker, 0 without.
	StaleMs []int64

	// First, Last and Prev, the one before Last, are samples with their times. A bucket of one sample has no
	// Prev: PrevMs is 0. The start timestamps are those of the first and of the last sample; 0 is none.
	FirstMs, LastMs, PrevMs   []int64
	First, Last, Prev         []float64
	FirstStartMs, LastStartMs []int64

	Sum, Min, Max []float64

	// Comp is what PromQL adds for counter resets: the sum of the values before each reset inside the bucket.
	Comp            []float64
	Resets, Changes []uint32

	// M2 is the sum of the squared differences from the mean, which is Sum / N.
	M2 []float64
}

// HistogramRow is the row of a bucket that has native histograms. What is a pointer belongs to the row, and nobody
// changes First, Last and Prev. Their hints and that of Sum are GaugeType or UnknownCounterReset.
type HistogramRow struct {
	EndMs   int64
	N       uint32
	Flags   Flags
	StaleMs int64

	FirstMs, LastMs, PrevMs   int64
	First, Last, Prev         *histogram.FloatHistogram
	FirstStartMs, LastStartMs int64

	Sum             *histogram.FloatHistogram // of all the bucket's histograms; nil with NeedsRaw
	Comp            *histogram.FloatHistogram // nil without a reset, and with NeedsRaw
	Resets, Changes uint32
}

// Series is one series as read from a tier. A series may have float rows and histogram rows, not in one bucket.
type Series struct {
	Key    store.Key
	Labels labels.Labels

	// Class is the retention class, which a [Writer] looks at and a [Reader] leaves 0. Rows of tiers that a class does not keep
	// are written too, and go with the first sweep after their day.
	Class uint8

	Rows       Rows
	Histograms []HistogramRow
}

// Selection says which rows to read: those of the embedded selection's series whose bucket ends lie in
// [MinMs, MaxMs]. MaxSamples bounds the rows.
type Selection struct {
	store.Selection
	Tier    Tier
	Columns Columns

	// Windows are all that is looked at; a reader may leave out float rows that end in none of them. Zero is everything.
	Windows Windows

	// Read, where not nil, is where a [Stitch] counts what it reads.
	Read *Read
}

// Windows are stretches of time of one length, RangeMs, that are open on the left and end at FirstMs and at all times that
// lie whole steps of StepMs before and after it.
type Windows struct{ FirstMs, StepMs, RangeMs int64 }

// Apart reports whether there is time between the windows, and they end where buckets of the tier do: then rows can be
// told by their ends to be of no use.
func (w Windows) Apart(t Tier) bool {
	step := t.StepMs()
	return w.StepMs > w.RangeMs && w.FirstMs%step == 0 && w.StepMs%step == 0
}

// Span is a stretch of time, open on the left as buckets are: (FromMs, ToMs].
type Span struct{ FromMs, ToMs int64 }

// Coverage says what can be read: of each tier the spans, ascending and apart from each other, whose rows are complete
// and agree with raw. For Raw it is one span, from the oldest sample that is kept for the tenant to the end of time.
type Coverage [3][]Span

// Reader reads tiers.
type Reader interface {
	// SelectRollups calls yield for each series that has a row in the selection, in ascending order of the keys. The
	// series and everything in it belong to the reader again when yield returns. An error from yield ends the read and
	// is returned as it is.
	SelectRollups(ctx context.Context, s Selection, yield func(*Series) error) error

	// Coverage returns what can be read of a tenant.
	Coverage(ctx context.Context, tenant string) (Coverage, error)
}

// Batch is what one fold writes: rows of one hour and tier in ascending order of the keys.
type Batch struct {
	Tier Tier

	// Version tells folds of one hour apart: that of a later fold, which saw at least as much of raw, is greater, and
	// its rows replace those of an earlier one.
	Version uint64

	Series []Series // Labels are not looked at
}

// Writer writes tiers. Its methods return nil only when the rows are durable; writing them again is harmless.
type Writer interface {
	WriteRollups(ctx context.Context, b *Batch) error

	// VoidRollups makes the rows of a span void that are older than a version: what a fold of that version, of all series,
	// did not write.
	VoidRollups(ctx context.Context, tier Tier, span Span, version uint64) error
}
