package codec

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Caps bound what one request may hold below the [Limits] of the decoder. 0 is no bound of its own.
type Caps struct {
	// Labels bounds the labels of a series, NameBytes and ValueBytes the length of each. A series beyond one of them
	// is refused, also where it was taken before.
	Labels, NameBytes, ValueBytes int

	// Exemplars and Metadata bound what is kept of the request. What is beyond them is in [Request.Dropped].
	Exemplars, Metadata int
}

// shape is what the label set of a series has of what is limited.
type shape struct{ labels, nameBytes, valueBytes int }

func shapeOf(ls labels.Labels) (s shape) {
	ls.Range(func(l labels.Label) {
		s.labels++
		s.nameBytes, s.valueBytes = max(s.nameBytes, len(l.Name)), max(s.valueBytes, len(l.Value))
	})
	return s
}

// exceeds reports whether any part is more than that of the limit.
func (s shape) exceeds(limit shape) bool {
	return s.labels > limit.labels || s.nameBytes > limit.nameBytes || s.valueBytes > limit.valueBytes
}

// capsShapes reports whether the request has limits of its own on label sets: only then known series are looked at.
func (r *Request) capsShapes() bool {
	return r.Caps.Labels > 0 || r.Caps.NameBytes > 0 || r.Caps.ValueBytes > 0
}

// shapeLimit is what a label set of this request may have.
func (r *Request) shapeLimit() shape {
	l, c := &r.decoder.limits, &r.Caps
	return shape{capped(l.Labels, c.Labels), capped(l.NameBytes, c.NameBytes), capped(l.ValueBytes, c.ValueBytes)}
}

func capped(limit, cap int) int {
	if cap > 0 && cap < limit {
		return cap
	}
	return limit
}

// refuseShape refuses a series that was taken before the limit was.
func (r *Request) refuseShape(t *target, s *series) {
	limit, why := &r.shape, LabelTooLong
	if s.shape.labels > limit.labels {
		why = TooManyLabels
	}
	r.refuse(t, why, func() (string, string) {
		series := r.showSeries(s.labels)
		return series, fmt.Sprintf("series %s has %d labels, names of up to %d and values of up to %d bytes; at most %d, %d and %d are allowed",
			series, s.shape.labels, s.shape.nameBytes, s.shape.valueBytes, limit.labels, limit.nameBytes, limit.valueBytes)
	})
}

// mayAdd asks whether a series that was not found by its hash may be taken. One that is known in another form may.
func (r *Request) mayAdd(key store.Key) (why Reason, ok bool) {
	if r.Admit == nil || r.decoder.cache.knows(key) {
		return 0, true
	}
	return r.Admit(key)
}

func (r *Request) refuseNew(t *target, why Reason, ls labels.Labels) {
	r.refuse(t, why, func() (string, string) {
		series := r.showSeries(ls)
		return series, fmt.Sprintf("series %s is not known, and the tenant may not have more: %s", series, limitWords(why))
	})
}

func limitWords(why Reason) string {
	if why == TooManyNew {
		return "the limit new_series_per_minute is reached; it may come again later"
	}
	return "the limit active_series is reached"
}

// exemplarsFull and metadataFull report whether the rest is to be dropped.
func (r *Request) exemplarsFull() bool { return full(r.Accepted.Exemplars, r.Caps.Exemplars) }
func (r *Request) metadataFull() bool  { return full(r.Accepted.Metadata, r.Caps.Metadata) }

func full(n, cap int) bool { return cap > 0 && n >= cap }
