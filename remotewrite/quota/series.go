package quota

import (
	"sync"
	"sync/atomic"
	"time"
)

// sliceLength is the step in which it is remembered when a series was last seen, and keptSlices how many of them before
// the present one are: a series is active for an hour after its last sample, and for half an hour more at the most.
const (
	sliceLength = 30 * time.Minute
	keptSlices  = 2
)

func sliceOf(t time.Time) int64 { return t.UnixMilli() / sliceLength.Milliseconds() }

// seriesSet are the active series of a tenant: the newest slice of time in which each was seen, by whichever receiver.
// Requests only meet it where the series is one that the receiver's cache does not have.
type seriesSet struct {
	// asked is the slice in which a limit was last asked for; 0 is never.
	asked atomic.Int64

	mu     sync.Mutex
	newest map[uint64]int64
	unsent map[int64][]uint64 // what the journal does not have yet, by slice
	resend bool               // all of it
}

func (s *seriesSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.newest)
}

// tracked reports whether the set is kept up to date: the limits of the tenant want it.
func (s *seriesSet) tracked(slice int64) bool {
	asked := s.asked.Load()
	return asked != 0 && asked >= slice-keptSlices
}

// admit decides about a series that the cache does not have.
func (s *seriesSet) admit(id uint64, t *Tab) Verdict {
	now, slice := t.ledger.now(), t.ledger.slice.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest, known := s.newest[id]; known {
		if newest < slice {
			s.see(id, slice, tell)
		}
		return Accepted
	}
	if t.active > 0 && int64(len(s.newest)) >= t.active {
		return OverActive
	}
	if v := t.takeNew(now); v != Accepted {
		return v
	}
	s.see(id, slice, tell)
	t.account.fresh.Add(1)
	return Accepted
}

// news tells whether others are to hear of it.
type news bool

const (
	tell  news = true
	heard news = false
)

func (s *seriesSet) see(id uint64, slice int64, n news) {
	if s.newest == nil {
		s.newest, s.unsent = make(map[uint64]int64), make(map[int64][]uint64)
	}
	s.newest[id] = slice
	if n == tell {
		s.unsent[slice] = append(s.unsent[slice], id)
	}
}

// mark notes that a series was seen in a slice.
func (s *seriesSet) mark(id uint64, slice int64, n news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest, known := s.newest[id]; !known || newest < slice {
		s.see(id, slice, n)
	}
}

// prune forgets what was not seen for long. A clock that was set back must not keep series for ever.
func (s *seriesSet) prune(slice int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.newest)
	for id, newest := range s.newest {
		switch {
		case newest < slice-keptSlices:
			delete(s.newest, id)
		case newest > slice:
			s.newest[id] = slice
		}
	}
	for old := range s.unsent {
		if old < slice-keptSlices || old > slice {
			delete(s.unsent, old)
		}
	}
	if 4*len(s.newest) < before { // a map keeps the memory of what was deleted
		smaller := make(map[uint64]int64, len(s.newest))
		for id, newest := range s.newest {
			smaller[id] = newest
		}
		s.newest = smaller
	}
}

// takeUnsent returns what the journal is to be told, by slice.
func (s *seriesSet) takeUnsent() map[int64][]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resend {
		s.resend = false
		clear(s.unsent)
		for id, slice := range s.newest {
			s.unsent[slice] = append(s.unsent[slice], id)
		}
	}
	if len(s.unsent) == 0 {
		return nil
	}
	out := s.unsent
	s.unsent = make(map[int64][]uint64)
	return out
}

func (s *seriesSet) sendAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resend = len(s.newest) > 0
}
