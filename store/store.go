// Package store is the vocabulary that every part of MetricStream shares: series and their keys, batches of
// samples on their way in, selections and series on their way out, and the two joints between the parts,
// [Writer] and [Reader]. It does no I/O, reads no clock and starts no goroutine.
//
// All times are Unix milliseconds, as in Prometheus; names that hold one end in Ms.
package store

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// Writer is the joint of the write path: the receiver writes to one, the log's producer is one, the log's
// consumer drives one, ClickHouse is one.
//
// Write returns nil only when everything in the batch is durable. On an error any part of the batch may have
// been written; writing the same batch again is always harmless, because rows are identified by what they are
// (series key, timestamp, value), not by when they came. [KindOf] tells whether trying again can help.
//
// The batch belongs to the caller again when Write returns; an implementation must not keep any slice of it.
// Write may be called from several goroutines at once.
type Writer interface {
	Write(ctx context.Context, b *Batch) error
}

// WriterFunc makes a function a [Writer].
type WriterFunc func(ctx context.Context, b *Batch) error

// Write calls f.
func (f WriterFunc) Write(ctx context.Context, b *Batch) error { return f(ctx, b) }

// Reader is the joint of the read path. All four methods may be called from several goroutines at once, see
// only the selection's tenant, and return errors of a [Kind].
type Reader interface {
	// Select calls yield once for each series that has a point in the selection, in ascending order of the keys.
	// Each is complete. It belongs to yield, which may keep it and its slices. An error from yield ends the
	// selection and is returned as it is.
	Select(ctx context.Context, s Selection, yield func(*SeriesData) error) error

	// Series returns the label sets of the series that may have a point in the selection; days are the
	// resolution of "may". MaxSamples is not looked at.
	Series(ctx context.Context, s Selection) ([]labels.Labels, error)

	// LabelNames returns the sorted label names of the series that Series would return. Unlike there,
	// Matchers may be empty: all the tenant's series.
	LabelNames(ctx context.Context, s Selection) ([]string, error)

	// LabelValues returns the sorted values of one label, as LabelNames does the names. The empty value of
	// a series without the label is not among them.
	LabelValues(ctx context.Context, name string, s Selection) ([]string, error)
}

// ExemplarReader reads exemplars.
type ExemplarReader interface {
	// Exemplars returns the exemplars in [MinMs, MaxMs] of the series that the selection's matchers choose,
	// a series once, each series' exemplars in order of time.
	Exemplars(ctx context.Context, s Selection) ([]SeriesExemplars, error)
}

// MetadataReader reads what senders said of their metrics.
type MetadataReader interface {
	// Metadata returns the tenant's metadata sorted by metric name; name, where not empty, chooses one.
	Metadata(ctx context.Context, tenant, name string) ([]Metadata, error)
}

// Selection says which series and which time a read is about.
type Selection struct {
	Tenant string

	// Matchers all have to hold. A label that a series does not have is the empty string, as in PromQL.
	Matchers []*labels.Matcher

	// MinMs and MaxMs bound the time, both included.
	MinMs, MaxMs int64

	// MaxSeries and MaxSamples end a read that would exceed them with an error of [KindLimit]. Zero is no
	// limit.
	MaxSeries, MaxSamples int
}

// DefaultTenant owns what is written and read without a tenant header.
const DefaultTenant = "anonymous"
