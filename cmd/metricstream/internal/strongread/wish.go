package strongread

import (
	"net/http"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
)

// Headers of a read that waits.
const (
	header        = "X-Read-Consistency"
	offsetsHeader = "X-Read-Consistency-Offsets"
)

// offsets are, by generation and partition, the progress that the tables need.
type offsets map[string]map[int32]int64

// wish is what a request wants to see.
type wish struct {
	strong bool

	// named is what the request names with its generation, current what it names without.
	named   offsets
	current map[int32]int64
}

// wishOf reads a request's headers. Offsets alone are a strong read too; `eventual` waits for nothing.
func wishOf(h http.Header) (wish, error) {
	receipts := h.Values(offsetsHeader)
	switch value := h.Get(header); value {
	case "strong":
	case "":
		if len(receipts) == 0 {
			return wish{}, nil
		}
	case "eventual":
		return wish{}, nil
	default:
		return wish{}, store.Invalidf("cannot read with %s: %.50q: want strong or eventual", header, value)
	}
	w := wish{strong: true, named: offsets{}, current: map[int32]int64{}}
	for _, text := range receipts {
		r, err := store.ParseReceipt(text)
		if err != nil {
			return w, store.Invalidf("%s: %w", offsetsHeader, err)
		}
		need := w.current
		if r.Generation != "" {
			need = w.named.of(r.Generation)
		}
		for _, o := range r.Offsets {
			need[o.Partition] = max(need[o.Partition], o.Offset+1)
		}
	}
	return w, nil
}

// of returns the offsets of a generation.
func (o offsets) of(generation string) map[int32]int64 {
	if o[generation] == nil {
		o[generation] = map[int32]int64{}
	}
	return o[generation]
}

// needsLog tells whether the log has to be asked: for where it ends, or for its generation.
func (w wish) needsLog() bool { return len(w.named) == 0 || len(w.current) > 0 }

// resolve completes the wish by what the log says.
func (w wish) resolve(ends kafka.Ends) offsets {
	need := w.named
	add := w.current
	if len(w.named) == 0 && len(w.current) == 0 {
		add = ends.Next
	}
	of := need.of(ends.Generation)
	for partition, next := range add {
		of[partition] = max(of[partition], next)
	}
	return need
}
