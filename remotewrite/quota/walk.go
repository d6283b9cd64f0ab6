package quota

import (
	"sync/atomic"
	"time"
)

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
