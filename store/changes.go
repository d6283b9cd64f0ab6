package store

import (
	"context"
	"math"
)

// LateAfterMs is how old a sample is when it is late for those who remember what they computed of the tables: whoever
// writes one that is older has to leave a [Change]. Nobody may remember what is younger. What is between this and what
// they do remember is for clocks that disagree.
const LateAfterMs = 5 * 60 * 1000

// ChangeHourMs is the resolution of changes.
const ChangeHourMs = 60 * 60 * 1000

// Change says that what the tables have of some time is not what it was, although somebody may remember it.
type Change struct {
	// Metric is the metric half of the keys of the series, see [Key]. [EverySeries] is every series of every tenant, and
	// [MetricOf] of a tenant and no name is every series of the tenant.
	Metric uint32

	// FromHour and ToHour bound the time of the samples, both included, in hours since 1970, see [ChangeHour].
	FromHour, ToHour int32

	// Token tells the change from every other one.
	Token uint64
}

// EverySeries is the metric of a change that is about all of them.
const EverySeries uint32 = 0

// ChangeHour returns the hour of a time.
func ChangeHour(timeMs int64) int32 {
	h := timeMs / ChangeHourMs
	if timeMs%ChangeHourMs < 0 {
		h--
	}
	return int32(max(math.MinInt32, min(h, math.MaxInt32)))
}

// Changes are sums of the tokens of changes by their hours: they differ when anything has changed.
type Changes []ChangeSum

// ChangeSum is the sum of the tokens of the changes of these hours.
type ChangeSum struct {
	FromHour, ToHour int32
	Token            uint64
}

// In returns one number for the changes that touch a time, both ends included: it is another one after each of them.
func (c Changes) In(fromMs, toMs int64) uint64 {
	from, to := ChangeHour(fromMs), ChangeHour(toMs)
	sum := uint64(0)
	for _, s := range c {
		if s.FromHour <= to && s.ToHour >= from {
			sum += s.Token
		}
	}
	return sum
}

// ChangeReader tells what has changed.
type ChangeReader interface {
	// Changes returns the changes of the metrics, nil for all of them, that touch a time, both ends included. It sees
	// every change that was written before it is called.
	Changes(ctx context.Context, metrics []uint32, fromMs, toMs int64) (Changes, error)
}
