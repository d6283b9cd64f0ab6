package cache

import (
	"maps"
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

// hot are the answers of the last second, and the evaluations under way.
type hot struct {
	now func() time.Time

	mu      sync.Mutex
	flights map[flightKey]*flight
	answers map[string]*flight // that have ended
}

// flightKey is what is asked, and whose turn the evaluation takes, see [promql.Line]: nobody waits for the turn of
// another key, which may be far behind.
type flightKey struct{ what, line string }

// flight is an evaluation. answer may be looked at when done is closed, and is not changed any more; it is nil where it
// cannot be shared.
type flight struct {
	key    flightKey
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
func (h *hot) join(key flightKey) (f *flight, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for _, f := range []*flight{h.answers[key.what], h.flights[key]} {
		if f != nil && now.Sub(f.begun) < hotAge {
			return f, false
		}
	}
	f = &flight{key: key, begun: now, done: make(chan struct{})}
	if len(h.flights) < maxHot {
		h.flights[key] = f
	}
	return f, true
}

// end lets those go on who wait for an evaluation that began at a time, and keeps its answer where it has one to share. It
// reports whether it did.
func (h *hot) end(f *flight, begun time.Time) bool {
	close(f.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flights[f.key] != f { // forgotten meanwhile
		return false
	}
	delete(h.flights, f.key)
	if f.answer == nil {
		return false
	}
	f.begun = begun
	if len(h.answers) >= sweepAt {
		now := h.now()
		maps.DeleteFunc(h.answers, func(_ string, old *flight) bool { return now.Sub(old.begun) >= hotAge })
	}
	if old := h.answers[f.key.what]; old == nil && len(h.answers) < maxHot || old != nil && old.begun.Before(f.begun) {
		h.answers[f.key.what] = f
	}
	return true
}

// forget drops the answers, also those that are on their way.
func (h *hot) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.flights)
	clear(h.answers)
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
