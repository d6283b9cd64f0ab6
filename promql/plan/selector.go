package plan

import (
	"sync/atomic"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
)

// Selector is one selector of a query with its route.
type Selector struct {
	// Text is the selector as it was written, and Function the one that is called on its ranges, or "".
	Text, Function string

	// Matchers choose the series.
	Matchers []*labels.Matcher

	// Times are the ends of its windows in the time of the data: offsets and @ are applied. A window is open on the
	// left and RangeMs long; that of an instant selector is the lookback.
	Times   Times
	RangeMs int64

	// Tier is what it is read from.
	Tier rollup.Tier

	// Ragged says that the one window does not begin and end with buckets of the tier: raw answers for the two ends.
	Ragged bool

	// Negated says that the engine turns the sign of what it is given, and so drops the metric's name.
	Negated bool

	// Group, where not nil, is the aggregation right above the call: the values of plain floats may be aggregated
	// before the engine does the same.
	Group *Group

	// Why says why a coarser tier, or raw, was not taken, Missing what the route cannot see.
	Why, Missing string

	// Approximate, where not nil, says how times are answered at which no exact route sees all.
	Approximate *Approximate

	// Covered are the spans of the needed time in which the rows of the tier are complete.
	Covered []rollup.Span

	// Pos is where the selector stands in the query.
	Pos posrange.PositionRange

	// Expired is, where not empty, the time that raw samples have expired in although another tier knows of it.
	Expired string

	// Read counts what was read for it.
	Read *Read

	node   *parser.VectorSelector
	pos    posrange.PositionRange // of the node
	call   *parser.Call           // nil for an instant selector
	matrix parser.MatrixSelector  // the range as it was written

	// skipBuckets says that functions above need the counts and sums of histograms only.
	skipBuckets bool
	rawOnly     string

	// lasts says that it is only the function that no tier knows.
	lasts bool
}

// Read counts what was read, while and after the query runs.
type Read struct{ Series, Rows, RawSamples atomic.Int64 }

// Group is an aggregation.
type Group struct {
	Op      parser.ItemType
	Without bool
	Labels  []string
}

// Instant reports whether it is an instant selector, not a call on ranges.
func (s *Selector) Instant() bool { return s.Function == "" }

// replaced reports whether an instant selector stands for the call.
func (s *Selector) replaced() bool {
	return s.call != nil && s.Tier != rollup.Raw && (s.Approximate == nil || !s.Approximate.Lasts)
}

// CountsOnly reports whether the engine reads nothing but counts and sums of histograms for it.
func (s *Selector) CountsOnly() bool { return s.skipBuckets }

// BeginMs returns the end of time that no window reaches into: all windows lie in (BeginMs, EndMs].
func (s *Selector) BeginMs() int64 { return s.Times.FirstMs - s.RangeMs }

// EndMs returns the end of the last window.
func (s *Selector) EndMs() int64 { return s.Times.LastMs() }
