package quota

import (
	"context"
	"slices"
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

// walk is the state of the walks over the receiver's cache: series that are seen all the time are in the cache all the
// time, and nobody asks about them.
type walk struct {
	// used calls yield with each series that was used since a time; nil where there is no cache.
	used func(sinceMs int64, yield func(tenant string, id uint64))

	fill   atomic.Bool // a tenant has just been limited whose series are in the cache already
	turned bool        // a slice has ended and its series are not yet noted
	due    time.Time
	jitter time.Duration // so that one receiver notes them, and the others hear of it
	lastMs int64
}

// Watch says how to find the series that the receiver remembers. It is called before the first request.
func (l *Ledger) Watch(used func(sinceMs int64, yield func(tenant string, id uint64))) {
	l.walk.used = used
}

// track notes that the series of a tenant are limited.
func (l *Ledger) track(a *account, now time.Time) {
	slice := l.slice.Load()
	if asked := a.series.asked.Load(); asked != slice {
		if !a.series.tracked(slice) {
			l.walk.fill.Store(true)
		}
		a.series.asked.Store(slice)
	}
}

// turn goes on to the next slice where it has begun, and notes which series were active in the one before.
func (l *Ledger) turn(now time.Time) {
	slice := sliceOf(now)
	if l.slice.Swap(slice) != slice {
		l.walk.turned, l.walk.due = true, now.Add(l.walk.jitter)
	}
	if l.walk.fill.Swap(false) {
		l.note(slice, now.Add(-time.Hour).UnixMilli())
	}
	if wait := l.walk.due.Sub(now); !l.walk.turned || wait > 0 && wait <= l.walk.jitter {
		return
	}
	l.walk.turned = false
	since := l.walk.lastMs
	l.walk.lastMs = now.UnixMilli()
	l.note(slice-1, since)
	for _, a := range l.sets() {
		a.series.prune(slice)
	}
}

// note marks the series that were used since a time as seen in a slice.
func (l *Ledger) note(slice, sinceMs int64) {
	if l.walk.used == nil {
		return
	}
	sets := l.sets()
	for id, a := range sets {
		if !a.series.tracked(slice) {
			delete(sets, id)
		}
	}
	if len(sets) == 0 {
		return
	}
	l.walk.used(sinceMs, func(tenant string, id uint64) {
		if a := sets[tenant]; a != nil {
			a.series.mark(id, slice, tell)
		}
	})
}

// sets returns the accounts with series by tenant, and those that are to have some.
func (l *Ledger) sets() map[string]*account {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := make(map[string]*account)
	for id, a := range l.accounts {
		if a.series.asked.Load() != 0 || a.series.len() > 0 {
			all[id] = a
		}
	}
	return all
}

// exchangeSeries tells the journal which series were seen here, and hears of the others'.
func (l *Ledger) exchangeSeries(ctx context.Context) error {
	if l.journal == nil {
		return nil
	}
	now := l.slice.Load()
	for slice := now - keptSlices; slice <= now; slice++ {
		met, err := l.journal.Exchange(ctx, slice, nil, l.hear(slice))
		if err != nil {
			return err
		}
		if met.Lost {
			l.sendAgain()
		}
	}
	records := make(map[int64][]byte)
	for id, a := range l.sets() {
		for slice, ids := range a.series.takeUnsent() {
			for part := range slices.Chunk(ids, maxRecordIDs) {
				records[slice] = appendRecord(records[slice], id, part)
			}
		}
	}
	for slice, r := range records {
		met, err := l.journal.Exchange(ctx, slice, r, l.hear(slice))
		if err != nil {
			l.sendAgain()
			return err
		}
		if met.Full {
			l.metrics.unwritten.Add(float64(len(r)))
		}
	}
	return nil
}

// sendAgain has all that is known sent with the next exchange.
func (l *Ledger) sendAgain() {
	for _, a := range l.sets() {
		a.series.sendAgain()
	}
}

// hear returns what takes over series that others have seen.
func (l *Ledger) hear(slice int64) func(tenant string, ids []uint64) {
	return func(tenant string, ids []uint64) {
		a := l.openAccount(tenant, l.now())
		if a == nil {
			return
		}
		for _, id := range ids {
			a.series.mark(id, slice, heard)
		}
	}
}
