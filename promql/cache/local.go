package cache

import (
	"container/list"
	"sync"
)

// local keeps entries in the memory of this process; those that were used the longest ago go first.
type local struct {
	max     int64
	metrics *metrics

	mu    sync.Mutex
	used  int64
	items map[string]*list.Element
	order list.List // of item, the last used one in front
}

type item struct {
	key   string
	entry *entry
}

// overhead is about what an item takes beside its bytes.
const overhead = 400

func (i item) size() int64 { return int64(len(i.key) + len(i.entry.bytes) + overhead) }

func newLocal(maxBytes int64, m *metrics) *local {
	return &local{max: maxBytes, metrics: m, items: map[string]*list.Element{}}
}

// entry returns what is kept under a key, nil without.
func (l *local) entry(key string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.items[key]
	if !ok {
		return nil
	}
	l.order.MoveToFront(at)
	return at.Value.(item).entry
}

func (l *local) put(key string, e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.items[key]; ok {
		l.remove(at)
	}
	one := item{key, e}
	if one.size() > l.max {
		return
	}
	l.items[key] = l.order.PushFront(one)
	l.used += one.size()
	for l.used > l.max {
		l.remove(l.order.Back())
		l.metrics.evictions.Inc()
	}
	l.metrics.bytes.Set(float64(l.used))
	l.metrics.entries.Set(float64(len(l.items)))
}

func (l *local) remove(at *list.Element) {
	one := l.order.Remove(at).(item)
	delete(l.items, one.key)
	l.used -= one.size()
}

// forget removes the entries whose keys are chosen.
func (l *local) forget(chosen func(key string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, at := range l.items {
		if chosen(key) {
			l.remove(at)
		}
	}
	l.metrics.bytes.Set(float64(l.used))
	l.metrics.entries.Set(float64(len(l.items)))
}
