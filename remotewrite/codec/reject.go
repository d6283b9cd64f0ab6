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
	BadHistogram
	BadExemplar
	BadMetadata

	numReasons
)

var reasonWords = [numReasons]string{
	"invalid_labels", "missing_metric_name", "duplicate_label_name", "too_many_labels", "label_too_long",
	"invalid_symbol_ref", "series_key_collision", "empty_series", "too_far_in_future", "before_1970", "invalid_histogram",
	"invalid_exemplar", "invalid_metadata",
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
	maxDetails     = 5
	maxDetailBytes = 400
)

// Rejected is what of a request was refused, and why.
type Rejected struct {
	counts  [numReasons]int
	details []string
}

// Count returns how many things were refused for this reason: points, or 1 for a series without points or a
// metadata message.
func (r *Rejected) Count(why Reason) int { return r.counts[why] }

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
	for _, d := range r.details {
		b.WriteString("\n")
		b.WriteString(d)
	}
	return b.String()
}

func (r *Rejected) reset() {
	r.counts = [numReasons]int{}
	clear(r.details)
	r.details = r.details[:0]
}

// wantsDetail reports whether the next case will be described.
func (r *Rejected) wantsDetail() bool { return len(r.details) < maxDetails }

// add counts n refused things. The detail is only made where it will be shown.
func (r *Rejected) add(why Reason, n int, detail func() string) {
	r.counts[why] += n
	if !r.wantsDetail() {
		return
	}
	d := why.String() + ": " + detail()
	if len(d) > maxDetailBytes {
		d = strings.ToValidUTF8(d[:maxDetailBytes], "") + "..."
	}
	r.details = append(r.details, d)
}
