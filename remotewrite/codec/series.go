package codec

import (
	"sync/atomic"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// series is what is remembered of one series. Its identity never changes. What each request looks at comes
// first; all of it fits into two lines of a processor's cache.
type series struct {
	tenant string
	key    store.Key

	// hash is a seeded hash of the key.
	hash uint64

	// personal is why the series is refused, nil where it is not; with it there are neither key nor labels.
	personal *personal

	// usedMs is about when the series was last seen.
	usedMs atomic.Int64

	// starts is what was written of the start timestamps, nil for nothing, and lastMs the latest point under
	// the newest of them. A state is never changed, only replaced.
	starts atomic.Pointer[startState]
	lastMs atomic.Int64

	// metadata is the hash of the metadata last written for the series, and metadataMs is when.
	metadata   atomic.Uint64
	metadataMs atomic.Int64

	// decimals is the one byte that store.DecimalOf wants back with the next value, as durably written.
	decimals atomic.Uint32

	shape  shape
	labels labels.Labels
}

// is reports whether it is the series of this tenant with these labels.
func (s *series) is(tenant string, ls labels.Labels) bool {
	return s.tenant == tenant && labels.Equal(s.labels, ls)
}

func (s *series) startState() startState {
	p := s.starts.Load()
	if p == nil {
		return startState{}
	}
	st := *p
	st.lastMs = max(st.lastMs, s.lastMs.Load())
	return st
}

// remember takes over a state that has been written, unless a newer one has been.
func (s *series) remember(st startState) {
	for {
		p := s.starts.Load()
		if p != nil && p.timeMs == st.timeMs && p.startMs == st.startMs {
			if st.lastMs > s.lastMs.Load() {
				s.lastMs.Store(st.lastMs)
			}
			return
		}
		if p != nil && p.timeMs > st.timeMs {
			return
		}
		if next := st; s.starts.CompareAndSwap(p, &next) {
			s.lastMs.Store(st.lastMs)
			return
		}
	}
}

// rememberDecimals takes over a number of decimals that has been written. It only grows.
func (s *series) rememberDecimals(n uint8) {
	for had := s.decimals.Load(); uint32(n) > had; had = s.decimals.Load() {
		if s.decimals.CompareAndSwap(had, uint32(n)) {
			return
		}
	}
}

// touch says that the series was seen. The time is stored coarsely, so that steady use writes nothing.
func touch(usedMs *atomic.Int64, nowMs int64) {
	if nowMs-usedMs.Load() > touchMs {
		usedMs.Store(nowMs)
	}
}

const touchMs = 10_000
