package rollup

import (
	"context"

	"github.com/metricstream/metricstream/store"
)

// GraceMs is how long after its end an hour is left open for samples that are on their way.
const GraceMs = 2 * minuteMs

// Source reads what the hours are folded from.
type Source interface {
	// ReadRaw calls yield for each series, of all tenants, that has a sample in the span, in ascending order of the
	// keys. keys, where not nil, are the only series that are read; they are sorted. A series is read by the rules of
	// [store.Reader]: one sample for each timestamp, and the start that is in force where the span begins. The series
	// and everything in it belong to the reader again when yield returns. An error from yield ends the read and is
	// returned as it is.
	ReadRaw(ctx context.Context, span Span, keys []store.Key, yield func(*RawSeries) error) error

	// Days returns the days, in ascending order, that may have samples, as the milliseconds of their beginnings in UTC.
	Days(ctx context.Context) ([]int64, error)

	// Expired returns of which days samples are gone because their time was over, or are about to go: the retention classes,
	// by the milliseconds of the days' beginnings. Samples of an hour that is open or closing do not begin to go, so whoever
	// asks after it recorded that it is closing an hour may rely on the answer until it is closed.
	Expired(ctx context.Context) (map[int64][]uint8, error)
}

// Log tells how far the log is written into the tables.
type Log interface {
	// Partitions returns every partition of the log as it is now. The End of each was looked up before what is written.
	Partitions(ctx context.Context) ([]Partition, error)
}

// Partition is how far a partition of the log is written: every record before Next, the latest sample of which is at
// MaxMs. The log ends at End, so a partition whose Next is there has nothing that waits.
type Partition struct{ Next, End, MaxMs int64 }

// RawSeries is one series' samples in a span. Labels are not set.
type RawSeries struct {
	store.SeriesData

	// Class is the retention class of the samples; rows get the same.
	Class uint8
}

// State is how far an hour is.
type State uint8

const (
	// Open is an hour that nobody has folded.
	Open State = iota
	// Closing is an hour that somebody began to fold: whoever writes samples into it has to leave a mark.
	Closing
	// Closed is an hour whose rows are written.
	Closed
)

// HourState says how far the hour that ends at EndMs is. Of several that were recorded for an hour the one with the
// greatest Version holds, and of one version the greatest State, in whatever order they were recorded: so a fold that
// comes late with an old version changes nothing.
type HourState struct {
	EndMs   int64
	State   State
	Version uint64

	// MinSamples is the number of samples in the hour from which on a series got rows of a minute.
	MinSamples uint32

	// Tiers are those whose rows the hour has, of all its series. [Coverage] has the hour for these only. An hour that is
	// closing has those of the fold before, and none where there was no other.
	Tiers Tiers
}

// Tiers is a set of tiers; [Tier.Set] makes one.
type Tiers uint8

// Set returns the set of the one tier.
func (t Tier) Set() Tiers { return 1 << t }

// Has reports whether the set has the tier.
func (s Tiers) Has(t Tier) bool { return s&t.Set() != 0 }

// Mark says that samples of a series were written into an hour late: after its fold began, or, while it is open still,
// after the time at which a fold may begin. A mark whose Key is the zero one is about all series of the hour. A mark is
// identified by all of its fields.
type Mark struct {
	EndMs int64     // of the hour
	Key   store.Key // or [RemovedKey]

	// Token tells the marks of one write from those of others, so that clearing marks leaves those that came after they
	// were read. WrittenMs is the wall clock of the write.
	Token     uint64
	WrittenMs int64
}

// RemovedKey is the key of a mark that is about all series of an hour, some of which have lost samples: rows may be left that
// no fold writes again.
var RemovedKey = store.Key{ID: 1}

// Ledger keeps the states of the hours and the marks. Everything is durable when a method returned nil, and seen by
// every call that begins after that, by whomever.
type Ledger interface {
	// Hours returns the states of the hours whose ends lie in the span, in ascending order; open ones are left out.
	Hours(ctx context.Context, span Span) ([]HourState, error)

	// SetHours records states.
	SetHours(ctx context.Context, states []HourState) error

	// Marks returns at most limit marks, those of the earliest hours first.
	Marks(ctx context.Context, limit int) ([]Mark, error)

	// WriteMarks records marks.
	WriteMarks(ctx context.Context, marks []Mark) error

	// ClearMarks removes exactly these marks.
	ClearMarks(ctx context.Context, marks []Mark) error
}

// Auditor reads rows to compare them with raw.
type Auditor interface {
	// ReadRollups calls yield for each series, of all tenants, that has a row whose bucket ends in the span, in ascending
	// order of the keys, with all columns and without labels. The series belongs to the reader again when yield returns.
	ReadRollups(ctx context.Context, tier Tier, span Span, yield func(*Series) error) error
}

// Tables is all that the downsampler works on.
type Tables interface {
	Source
	Ledger
	Writer
	Auditor
}
