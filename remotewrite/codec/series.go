package codec

import (
	"sync"
	"sync/atomic"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// series is what is remembered of one series. Its identity never changes.
type series struct {
	tenant string
	key    store.Key
	labels labels.Labels

	// hash is a seeded hash of the key.
	hash uint64

	// decimals is the one byte that store.DecimalOf wants back with the next value.
	decimals atomic.Uint32

	// usedMs is about when the series was last seen.
	usedMs atomic.Int64

	// hasStarts is whether starts knows anything; plain series never take the lock.
	hasStarts atomic.Bool

	mu     sync.Mutex
	starts startState // as durably written

	// metadata is the hash of the metadata last written for the series, and metadataMs is when.
	metadata   atomic.Uint64
	metadataMs atomic.Int64
}

// is reports whether it is the series of this tenant with these labels.
func (s *series) is(tenant string, ls labels.Labels) bool {
	return s.tenant == tenant && labels.Equal(s.labels, ls)
}

func (s *series) startState() startState {
	if !s.hasStarts.Load() {
		return startState{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// remember takes over a state that has been written.
func (s *series) remember(st startState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = s.starts.newer(st)
	s.hasStarts.Store(true)
}

// touch says that the series was seen. The time is stored coarsely, so that steady use writes nothing.
func touch(usedMs *atomic.Int64, nowMs int64) {
	if nowMs-usedMs.Load() > touchMs {
		usedMs.Store(nowMs)
	}
}

const touchMs = 10_000
