package codec

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/prometheus/model/labels"
)

// Caps bound what one request may hold below the [Limits] of the decoder, and say in messages whose bound it is. Their zero
// value is none.
type Caps struct {
	// Labels bounds the labels of a series, NameBytes and ValueBytes the length of each. A series beyond one of them
	// is refused, also where it was taken before.
	Labels, NameBytes, ValueBytes limits.Bound

	// Exemplars and Metadata bound what is kept of the request. What is beyond them is in [Request.Dropped].
	Exemplars, Metadata limits.Bound
}

// shape is what the label set of a series has of what is limited.
type shape struct{ labels, nameBytes, valueBytes uint32 }

func shapeOf(ls labels.Labels) (s shape) {
	ls.Range(func(l labels.Label) {
		s.labels++
		s.nameBytes, s.valueBytes = max(s.nameBytes, uint32(len(l.Name))), max(s.valueBytes, uint32(len(l.Value)))
	})
	return s
}

// exceeds reports whether any part is more than that of the limit.
func (s shape) exceeds(limit shape) bool {
	return s.labels > limit.labels || s.nameBytes > limit.nameBytes || s.valueBytes > limit.valueBytes
}

// capLabels takes over what bounds the label sets of the request. Only where the request has bounds of its own are known
// series looked at.
func (r *Request) capLabels() {
	c, l := &r.Caps, &r.decoder.limits
	r.capped = c.Labels.Most > 0 || c.NameBytes.Most > 0 || c.ValueBytes.Most > 0
	process := func(name string, most int) limits.Bound { return limits.Bound{Most: int64(most), Name: name} }
	r.bounds.labels = process("remote_write.max_labels_per_series", l.Labels).Or(c.Labels)
	r.bounds.nameBytes = process("remote_write.max_label_name_bytes", l.NameBytes).Or(c.NameBytes)
	r.bounds.valueBytes = process("remote_write.max_label_value_bytes", l.ValueBytes).Or(c.ValueBytes)
	r.shape = shape{uint32(r.bounds.labels.Most), uint32(r.bounds.nameBytes.Most), uint32(r.bounds.valueBytes.Most)}
}

// bounds are those on a label set: the lower ones of the request's and the decoder's.
type bounds struct{ labels, nameBytes, valueBytes limits.Bound }

// mayAdd asks about a series that was not found by its hash, and refuses it where it may not be taken. One that is known
// in another form may.
func (r *Request) mayAdd(t *target, key store.Key, ls labels.Labels) bool {
	if r.Admit == nil || r.decoder.cache.knows(key) {
		return true
	}
	why, limit, ok := r.Admit(key)
	if ok {
		return true
	}
	r.refuse(t, why, func() (string, string) {
		series := r.showSeries(ls)
		if why == TooManyNew {
			return series, fmt.Sprintf("series %s is new, and there were more than %d new ones within a minute; send fewer, or this one later, or raise %s", series, limit.Most, limit.Setting())
		}
		return series, fmt.Sprintf("series %s is new, and the tenant has %d active ones, as many as it may; send fewer, or raise %s", series, limit.Most, limit.Setting())
	})
	return false
}

// exemplarsFull and metadataFull report whether the rest is to be dropped.
func (r *Request) exemplarsFull() bool { return full(r.Accepted.Exemplars, r.Caps.Exemplars.Most) }
func (r *Request) metadataFull() bool  { return full(r.Accepted.Metadata, r.Caps.Metadata.Most) }

func full(n int, most int64) bool { return most > 0 && int64(n) >= most }
