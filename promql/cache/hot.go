package cache

import (
	"slices"
	"sync"
	"time"

	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// hotAge is how long ago the evaluation of an answer may have begun.
	hotAge = time.Second

	// maxHot is how many answers are kept, maxHotSamples how large one may be, and sweepAt from how many on old ones are
	// looked for.
	maxHot        = 512
	maxHotSamples = 1000
	sweepAt       = 64
)

// hot are the answers of the last second, and those that are being computed.
type hot struct {
	now func() time.Time

	mu      sync.Mutex
	flights map[string]*flight
}

// flight is an evaluation. answer may be looked at when done is closed, and is not changed any more; it is nil where it
// cannot be shared.
type flight struct {
	begun  time.Time
	done   chan struct{}
	answer parser.Value
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// join returns the evaluation of a key. It is the caller's own where nobody has begun one lately: the caller calls end.
func (h *hot) join(key string) (f *flight, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if f, ok := h.flights[key]; ok && now.Sub(f.begun) < hotAge {
		return f, false
	}
	if len(h.flights) >= sweepAt {
		for k, old := range h.flights {
			if now.Sub(old.begun) >= hotAge {
				delete(h.flights, k)
			}
		}
	}
	f = &flight{begun: now, done: make(chan struct{})}
	if len(h.flights) < maxHot {
		h.flights[key] = f
	}
	return f, true
}

// end lets those go on who wait for an evaluation. One without an answer to share is forgotten.
func (h *hot) end(key string, f *flight) {
	close(f.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.answer == nil && h.flights[key] == f {
		delete(h.flights, key)
	}
}

func (h *hot) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.flights)
}

// copyOf returns a copy of an answer in memory of its own, nil where it is too large to be kept.
func copyOf(v parser.Value) parser.Value {
	switch v := v.(type) {
	case prom.Vector:
		if len(v) > maxHotSamples {
			return nil
		}
		out := slices.Clone(v)
		if out == nil {
			out = prom.Vector{}
		}
		for i := range out {
			if out[i].H != nil {
				out[i].H = out[i].H.Copy()
			}
		}
		return out
	case prom.Matrix:
		if v.TotalSamples() > maxHotSamples {
			return nil
		}
		out := make(prom.Matrix, len(v))
		for i, s := range v {
			s.Floats, s.Histograms = slices.Clone(s.Floats), slices.Clone(s.Histograms)
			for j := range s.Histograms {
				s.Histograms[j].H = s.Histograms[j].H.Copy()
			}
			out[i] = s
		}
		return out
	case prom.Scalar, prom.String:
		return v
	}
	return nil
}
