// Package codec turns the bytes of a remote write request, 1.0 or 2.0, into a [store.Batch]. It owns the two
// wire formats, the validation of what they carry, and the memory of the series seen before. It is pure: it
// reads no clock, does no I/O and starts no goroutine. HTTP, compression and the writing of the batch are its
// caller's.
package codec

import (
	"errors"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Limits bound what one request may hold. All but AgeMs are at least 1.
type Limits struct {
	// Series bounds the TimeSeries messages of a request, Points its samples, histograms, exemplars and
	// metadata messages together. A request beyond one of them is refused whole.
	Series, Points int

	// Labels bounds the labels of a series, NameBytes and ValueBytes the length of each. A series beyond one
	// of them is refused.
	Labels, NameBytes, ValueBytes int

	// Buckets bounds the spans, the buckets and the custom bounds of a native histogram, each.
	Buckets int

	// FutureMs is how far ahead of the present a point may be.
	FutureMs int64

	// AgeMs is how old a point may be; 0 is any age since 1970.
	AgeMs int64
}

// Decoder decodes requests. It may be used from several goroutines at once, each with a [Request] of its own.
type Decoder struct {
	limits Limits
	cache  *Cache
	pairs  PairLabels

	// keyOf is store.KeyOf; tests replace it, because colliding keys are hard to come by.
	keyOf func(tenant string, ls labels.Labels) store.Key
}

// NewDecoder returns a decoder that remembers series in the cache.
func NewDecoder(limits Limits, cache *Cache) *Decoder {
	return &Decoder{limits: limits, cache: cache, keyOf: store.KeyOf}
}

// ErrTooMuch is in the chain of errors about limits on whole requests.
var ErrTooMuch = errors.New("the request is too large")

// Version is a wire format.
type Version int

const (
	// V1 is prometheus.WriteRequest, the message of remote write 1.0.
	V1 Version = iota + 1
	// V2 is io.prometheus.write.v2.Request, the message of remote write 2.0.
	V2
)

// Decode decodes a request of one tenant into r, which is reset first: what is valid into r.Batch, what is not
// into r.Rejected. The batch refers to nothing of body. nowMs is the present.
//
// An error, always of [store.KindInvalid], means that nothing of the request is to be written: its protobuf is
// broken or it exceeds a limit on whole requests.
func (d *Decoder) Decode(r *Request, v Version, tenant string, body []byte, nowMs int64) error {
	r.reset(d, v, tenant, nowMs)
	if v == V1 {
		return r.decodeV1(body)
	}
	return r.decodeV2(body)
}
