package sqlgen

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/metricstream/metricstream/store"
)

// Points chooses rows of the tables that are keyed by series and time.
type Points struct {
	// Keys are sorted. When there are more than [MaxListed] they travel as the external table [KeysTable]
	// of the columns metric and id.
	Keys []store.Key

	// MinMs and MaxMs bound the time, both included.
	MinMs, MaxMs int64
}

// MaxListed is how many keys a statement lists as parameters.
const MaxListed = 256

// maxSmall is of how many series a statement is small.
const maxSmall = 4

// KeysTable is the name of the external table of keys.
const KeysTable = "selected"

// External reports whether the statements need the external table.
func (p Points) External() bool { return len(p.Keys) > MaxListed }

// Samples returns metric, id, ts, exp and mant of the float samples in the order of their keys and times. Rows
// of one series and time may be several.
func (p Points) Samples() Statement {
	var b builder
	p.where(&b)
	b.whereTime(p.MinMs, p.MaxMs)
	return b.statement("SELECT metric, id, ts, exp, mant FROM samples $WHERE ORDER BY metric, id, ts")
}

// Histograms returns metric, id, ts and blob of the histograms in the order of their keys and times.
func (p Points) Histograms() Statement {
	var b builder
	p.where(&b)
	b.whereTime(p.MinMs, p.MaxMs)
	return b.statement("SELECT metric, id, ts, blob FROM histograms $WHERE ORDER BY metric, id, ts")
}

// Starts returns metric, id, ts and start of the changes of the start timestamp in the order of their keys and
// times: all until MaxMs, because the one in force at MinMs may be old.
func (p Points) Starts() Statement {
	var b builder
	p.where(&b)
	b.whereTime(math.MinInt64, p.MaxMs)
	return b.statement("SELECT metric, id, ts, start FROM starts $WHERE ORDER BY metric, id, ts, start")
}

// Exemplars returns metric, id, ts, value and labels of the exemplars in the order of their keys and times.
func (p Points) Exemplars() Statement {
	var b builder
	p.where(&b)
	b.whereTime(p.MinMs, p.MaxMs)
	return b.statement("SELECT metric, id, ts, value, labels FROM exemplars $WHERE ORDER BY metric, id, ts, hash LIMIT 1 BY metric, id, ts, hash")
}

func (p Points) where(b *builder) {
	if p.External() {
		b.where("(metric, id) IN (SELECT metric, id FROM " + KeysTable + ")")
		return
	}
	b.small = len(p.Keys) <= maxSmall
	var metrics, ids []string
	for i, k := range p.Keys {
		if i == 0 || k.Metric != p.Keys[i-1].Metric {
			metrics = append(metrics, strconv.FormatUint(uint64(k.Metric), 10))
		}
		ids = append(ids, strconv.FormatUint(k.ID, 10))
	}
	metrics = slices.Compact(metrics)
	b.where("metric IN " + b.param("Array(UInt32)", quote("["+strings.Join(metrics, ",")+"]")))
	b.where("id IN " + b.param("Array(UInt64)", quote("["+strings.Join(ids, ",")+"]")))
}

func (b *builder) whereTime(minMs, maxMs int64) {
	b.where("ts >= " + b.int64(minMs))
	b.where("ts <= " + b.int64(maxMs))
}
