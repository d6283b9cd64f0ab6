package codec

import (
	"fmt"
	"strings"
)

// Reason says why something was refused. The words are stable: they are values of a metric's label and stand in
// the answer to the sender.
type Reason int

// The reasons.
const (
	BadLabels Reason = iota
	NoMetricName
	DuplicateLabel
	TooManyLabels
	LabelTooLong
	BadSymbolRef
	KeyCollision
	EmptySeries
	TooFarInFuture
	BeforeEpoch
	TooOld
	BadHistogram
	BadExemplar
	BadMetadata
	TooManyActive
	TooManyNew
	PersonalData

	numReasons
)

var reasonWords = [numReasons]string{
	"invalid_labels", "missing_metric_name", "duplicate_label_name", "too_many_labels", "label_too_long",
	"invalid_symbol_ref", "series_key_collision", "empty_series", "too_far_in_future", "before_1970", "too_old",
	"invalid_histogram", "invalid_exemplar", "invalid_metadata", "too_many_active_series", "too_many_new_series", "personal_data",
}

// String returns the reason's word.
func (r Reason) String() string { return reasonWords[r] }

// Reasons returns every reason.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

const (
	maxCases       = 5
	maxDetailBytes = 400
)

// Rejected is what of a request was refused, and why.
type Rejected struct {
	counts [numReasons]int
	cases  []Case
}

// Case is one thing that was refused.
type Case struct {
	Reason Reason

	// Series names the series as people write it, shortened where it is long; metadata has the metric's name,
	// and what belongs to no series nothing.
	Series string

	// Detail is a sentence that names the series too.
	Detail string
}

// Count returns how many things were refused for this reason: points, or 1 for a series without points or a
// metadata message.
func (r *Rejected) Count(why Reason) int { return r.counts[why] }

// Cases returns the first few cases, until the request is decoded into again.
func (r *Rejected) Cases() []Case { return r.cases }

// Total returns how many things were refused.
func (r *Rejected) Total() int {
	n := 0
	for _, c := range r.counts {
		n += c
	}
	return n
}

// String describes it to the sender: the count of each reason and the first few cases.
func (r *Rejected) String() string {
	var b strings.Builder
	sep := "refused: "
	for why, n := range r.counts {
		if n > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, n, Reason(why))
			sep = ", "
		}
	}
	for _, c := range r.cases {
		fmt.Fprintf(&b, "\n%s: %s", c.Reason, c.Detail)
	}
	return b.String()
}

func (r *Rejected) reset() {
	r.counts = [numReasons]int{}
	clear(r.cases)
	r.cases = r.cases[:0]
}

// wantsCase reports whether the next case will be described.
func (r *Rejected) wantsCase() bool { return len(r.cases) < maxCases }

// add counts n refused things. describe, which returns the series and the detail, is only called where that will
// be shown.
func (r *Rejected) add(why Reason, n int, describe func() (series, detail string)) {
	r.counts[why] += n
	if !r.wantsCase() {
		return
	}
	series, detail := describe()
	r.cases = append(r.cases, Case{why, shorten(series), shorten(detail)})
}

func shorten(s string) string {
	if len(s) <= maxDetailBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetailBytes], "") + "..."
}
