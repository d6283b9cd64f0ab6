package codec

import (
	"sync"
	"sync/atomic"
)

// table is a hash table from a 128-bit hash to a T for many readers: a look-up takes no lock. Hashes are uniform,
// so their low bits choose the slot. Entries are removed only by sweep, which builds the table anew.
type table[T any] struct {
	slots atomic.Pointer[[]atomic.Pointer[entry[T]]]

	mu    sync.Mutex // of writers
	count int
}

type entry[T any] struct {
	hash   hash128
	value  T
	usedMs atomic.Int64
}

// hash128 is a 128-bit hash.
type hash128 struct{ hi, lo uint64 }

const minSlots = 64

func (t *table[T]) find(h hash128) *entry[T] {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	return probe(*slots, h)
}

func probe[T any](slots []atomic.Pointer[entry[T]], h hash128) *entry[T] {
	mask := uint64(len(slots) - 1)
	for i := h.lo & mask; ; i = (i + 1) & mask {
		e := slots[i].Load()
		if e == nil || e.hash == h {
			return e
		}
	}
}

// add returns the entry of the hash, which it makes of value where there is none and fewer than limit are
// there; nil says that the table is full.
func (t *table[T]) add(h hash128, value T, nowMs int64, limit int) *entry[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(h); e != nil {
		return e
	}
	if t.count >= limit {
		return nil
	}
	slots := t.slots.Load()
	if slots == nil || 2*(t.count+1) > len(*slots) {
		size := minSlots
		if slots != nil {
			size = 2 * len(*slots)
		}
		t.rebuild(size, func(*entry[T]) bool { return true })
		slots = t.slots.Load()
	}
	e := &entry[T]{hash: h, value: value}
	e.usedMs.Store(nowMs)
	place(*slots, e)
	t.count++
	return e
}

func (t *table[T]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// each visits the entries; one that is added meanwhile may be left out.
func (t *table[T]) each(visit func(*entry[T])) {
	slots := t.slots.Load()
	if slots == nil {
		return
	}
	for i := range *slots {
		if e := (*slots)[i].Load(); e != nil {
			visit(e)
		}
	}
}

func place[T any](slots []atomic.Pointer[entry[T]], e *entry[T]) {
	mask := uint64(len(slots) - 1)
	i := e.hash.lo & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(e)
}

// sweep removes the entries that are not to be kept and returns how many those were.
func (t *table[T]) sweep(keep func(*entry[T]) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	slots := t.slots.Load()
	if slots == nil {
		return 0
	}
	before, kept := t.count, 0
	for i := range *slots {
		if e := (*slots)[i].Load(); e != nil && keep(e) {
			kept++
		}
	}
	if kept == before {
		return 0
	}
	size := minSlots
	for size < 4*kept {
		size *= 2
	}
	t.rebuild(size, keep)
	return before - t.count
}

// rebuild copies the entries to keep into size slots, or more where that is too few: an entry may have been
// touched since they were counted. A reader that still walks the old slots misses only what is added later.
func (t *table[T]) rebuild(size int, keep func(*entry[T]) bool) {
	var old []*entry[T]
	if p := t.slots.Load(); p != nil {
		for i := range *p {
			if e := (*p)[i].Load(); e != nil && keep(e) {
				old = append(old, e)
			}
		}
	}
	for size < 2*(len(old)+1) {
		size *= 2
	}
	slots := make([]atomic.Pointer[entry[T]], size)
	for _, e := range old {
		place(slots, e)
	}
	t.count = len(old)
	t.slots.Store(&slots)
}
