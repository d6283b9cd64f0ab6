package store

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// SeriesData is one series as read: its points in the selection, at most one for each timestamp.
type SeriesData struct {
	Key    Key
	Labels labels.Labels

	// TimesMs and Values are the float samples, stale markers among them, in order of time.
	TimesMs []int64
	Values  []float64

	// Histograms are the native histogram samples in order of time, none at a time of TimesMs.
	Histograms []HistogramPoint

	// Starts are the changes of the start timestamp in order of time. The first may lie before the
	// selection: it is the one in force where the selection begins.
	Starts []StartPoint
}

// HistogramPoint is one native histogram sample; one of Int and Float is set.
type HistogramPoint struct {
	TimeMs int64
	Int    *histogram.Histogram
	Float  *histogram.FloatHistogram
}

// StartPoint says that samples from TimeMs on have the start timestamp StartMs; 0 is none.
type StartPoint struct{ TimeMs, StartMs int64 }

// SeriesExemplars is one series with its exemplars.
type SeriesExemplars struct {
	Labels    labels.Labels
	Exemplars []Exemplar
}

// Prefer reports whether, of two samples of one series at one timestamp, b is the one that readers see. It is
// the one rule of every reader: a value beats a stale marker, else the greater value wins, and NaN is less
// than every other value. Bits decide what is left (two zeros, two NaNs), so that the order is total.
func Prefer(a, b float64) bool {
	if sa, sb := value.IsStaleNaN(a), value.IsStaleNaN(b); sa != sb {
		return sa
	}
	if na, nb := a != a, b != b; na != nb {
		return na
	}
	if a < b {
		return true
	}
	if a > b {
		return false
	}
	return int64(math.Float64bits(a)) < int64(math.Float64bits(b))
}
