package storetest

import (
	"math"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

var staleNaN = math.Float64frombits(value.StaleNaN)

// batch builds a store.Batch of one tenant as a receiver does: series listed, decimals kept from falling.
type batch struct {
	store.Batch
	tenant   string
	listed   map[store.Key]int
	decimals map[store.Key]uint8
	unlisted bool
}

func (f *fixture) batch() *batch { return newBatch(f.tenant) }

// unlisted returns a batch that does not list its series, as what comes out of the log may be.
func (f *fixture) unlisted() *batch {
	b := newBatch(f.tenant)
	b.unlisted = true
	return b
}

func newBatch(tenant string) *batch {
	return &batch{tenant: tenant, listed: map[store.Key]int{}, decimals: map[store.Key]uint8{}}
}

// metric is a series without other labels than its name.
func metric(name string, more ...string) labels.Labels {
	return labels.FromStrings(append([]string{"__name__", name}, more...)...)
}

func (b *batch) key(ls labels.Labels, timeMs int64, has store.Has) store.Key {
	k := store.KeyOf(b.tenant, ls)
	if b.unlisted {
		return k
	}
	i, ok := b.listed[k]
	if !ok {
		i = len(b.Series)
		b.listed[k] = i
		b.Series = append(b.Series, store.Series{Tenant: b.tenant, Key: k, Labels: ls, MinMs: timeMs, MaxMs: timeMs})
	}
	s := &b.Series[i]
	s.MinMs, s.MaxMs = min(s.MinMs, timeMs), max(s.MaxMs, timeMs)
	s.Has |= has
	return k
}

func (b *batch) sample(ls labels.Labels, timeMs int64, v float64) *batch {
	k := b.key(ls, timeMs, 0)
	d, decimals := store.DecimalOf(v, b.decimals[k])
	b.decimals[k] = decimals
	b.Samples.Append(k, timeMs, d)
	return b
}

func (b *batch) start(ls labels.Labels, timeMs, startMs int64) *batch {
	b.Starts = append(b.Starts, store.Start{Key: b.key(ls, timeMs, store.HasStarts), TimeMs: timeMs, StartMs: startMs})
	return b
}

func (b *batch) histogram(ls labels.Labels, timeMs int64, h *histogram.Histogram) *batch {
	b.Histograms = append(b.Histograms, store.Histogram{
		Key: b.key(ls, timeMs, store.HasHistograms), TimeMs: timeMs, Count: float64(h.Count), Sum: h.Sum, Blob: store.AppendHistogram(nil, h),
	})
	return b
}

func (b *batch) floatHistogram(ls labels.Labels, timeMs int64, h *histogram.FloatHistogram) *batch {
	b.Histograms = append(b.Histograms, store.Histogram{
		Key: b.key(ls, timeMs, store.HasHistograms), TimeMs: timeMs, Count: h.Count, Sum: h.Sum, Blob: store.AppendFloatHistogram(nil, h),
	})
	return b
}

func (b *batch) exemplar(ls labels.Labels, timeMs int64, v float64, more ...string) *batch {
	b.Exemplars = append(b.Exemplars, store.Exemplar{
		Key: b.key(ls, timeMs, 0), TimeMs: timeMs, Value: v, Labels: labels.FromStrings(more...),
	})
	return b
}

func (b *batch) meta(name, typ, help, unit string) *batch {
	b.Metadata = append(b.Metadata, store.Metadata{Tenant: b.tenant, Name: name, Type: typ, Help: help, Unit: unit})
	return b
}

func (b *batch) progress(topic, generation string, partition int32, next int64) *batch {
	b.Progress = append(b.Progress, store.Progress{Topic: topic, Generation: generation, Partition: partition, NextOffset: next, MaxMs: next})
	return b
}
