// Package fair owns the one queue in which reads of a process wait for their turn: so many run at once, and when one
// ends, the tenants that wait are served in turn, and within a tenant its keys. A tenant with a thousand reads in the
// queue delays the single read of another one by one turn. It leaves to its caller whose turn it is and what it costs.
package fair

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tenantsWorth is for how many tenants with full queues there is room in the whole queue.
const tenantsWorth = 10

// Options are what a [Queue] works with.
type Options struct {
	// Slots is the number of turns at once, MaxWaiting how many reads of one tenant may wait.
	Slots, MaxWaiting int

	// Registerer gets the queue's metrics; nil for none.
	Registerer prometheus.Registerer
}

// Claim says whose a turn is. Most bounds the turns that the tenant has at once, KeyMost those of the key; 0 is no
// bound.
type Claim struct {
	Tenant string
	Most   int64

	Key     string
	KeyMost int64
}

// FullError says that a read was not even let into the queue.
type FullError struct {
	// Waiting is how many reads wait: the tenant's, or with Overall those of all tenants.
	Waiting int
	Overall bool
}

func (e *FullError) Error() string {
	if e.Overall {
		return fmt.Sprintf("too many outstanding requests: %d of all tenants wait for their turn; try again later", e.Waiting)
	}
	return fmt.Sprintf("too many outstanding requests: %d of the tenant wait for their turn; send fewer at once, or raise query.max_waiting", e.Waiting)
}

// Queue gives out turns. Its methods may be called from several goroutines at once.
type Queue struct {
	maxWaiting int
	metrics    *metrics

	mu      sync.Mutex
	free    int
	waiting int
	tenants map[string]*tenant // those with turns or waiting
	ring    list.List          // of *tenant, those with waiting: who is next stands in front
}

// tenant is one tenant in the queue.
type tenant struct {
	name             string
	running, waiting int
	keys             map[string]*key
	ring             list.List // of *key
	place            *list.Element
}

// key is what waits of one key of a tenant, in the order in which it came.
type key struct {
	name    string
	running int
	waiters list.List // of *waiter
	place   *list.Element
}

// waiter is one read that waits.
type waiter struct {
	claim  Claim
	tenant *tenant
	key    *key
	place  *list.Element // nil when it has its turn or has left
	turn   chan struct{}
}

// New returns a queue. Slots and MaxWaiting have to be positive.
func New(o Options) *Queue {
	return &Queue{free: o.Slots, maxWaiting: o.MaxWaiting, tenants: map[string]*tenant{}, metrics: newMetrics(o.Registerer)}
}

// Enter waits for a turn. Whoever gets one calls leave, once, at its end. The error is a [FullError] where too many wait
// already, and the context's where that ends first. A turn that is free is given out even when the context has ended, so
// that the caller reports the end in its own words.
func (q *Queue) Enter(ctx context.Context, c Claim) (leave func(), err error) {
	begin := time.Now()
	w, err := q.join(c)
	if err != nil {
		q.metrics.refused.WithLabelValues(full).Inc()
		return nil, err
	}
	select {
	case <-w.turn:
	default:
		select {
		case <-w.turn:
		case <-ctx.Done():
			if q.quit(w) {
				q.metrics.gaveUp(ctx)
				return nil, ctx.Err()
			}
		}
	}
	q.metrics.wait.Observe(time.Since(begin).Seconds())
	return func() { q.leave(w) }, nil
}

// join puts a read at the end of its key's waiters.
func (q *Queue) join(c Claim) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[c.Tenant]
	if t == nil {
		t = &tenant{name: c.Tenant, keys: map[string]*key{}}
		q.tenants[c.Tenant] = t
	}
	k := t.keys[c.Key]
	if k == nil {
		k = &key{name: c.Key}
		t.keys[c.Key] = k
	}
	w := &waiter{claim: c, tenant: t, key: k, turn: make(chan struct{})}
	w.place = k.waiters.PushBack(w)
	if k.place == nil {
		k.place = t.ring.PushBack(k)
	}
	if t.place == nil {
		t.place = q.ring.PushBack(t)
	}
	t.waiting++
	q.count(1)
	q.serve()
	if w.place == nil {
		return w, nil
	}
	var err error
	switch {
	case t.waiting > q.maxWaiting:
		err = &FullError{Waiting: t.waiting - 1}
	case q.waiting > tenantsWorth*q.maxWaiting:
		err = &FullError{Waiting: q.waiting - 1, Overall: true}
	default:
		return w, nil
	}
	q.remove(w)
	q.forget(t, k)
	return nil, err
}

// serve gives out the turns that are free.
func (q *Queue) serve() {
	for q.free > 0 {
		w := q.next()
		if w == nil {
			return
		}
		q.ring.MoveToBack(w.tenant.place)
		w.tenant.ring.MoveToBack(w.key.place)
		q.remove(w)
		q.free--
		w.tenant.running++
		w.key.running++
		q.metrics.running.Inc()
		close(w.turn)
	}
}

// next returns who has the next turn, nil where nobody may.
func (q *Queue) next() *waiter {
	for t := q.ring.Front(); t != nil; t = t.Next() {
		for k := t.Value.(*tenant).ring.Front(); k != nil; k = k.Next() {
			if w := k.Value.(*key).waiters.Front().Value.(*waiter); w.may() {
				return w
			}
		}
	}
	return nil
}

// may reports whether the bounds of tenant and key leave room for one more.
func (w *waiter) may() bool {
	return (w.claim.Most <= 0 || int64(w.tenant.running) < w.claim.Most) &&
		(w.claim.KeyMost <= 0 || int64(w.key.running) < w.claim.KeyMost)
}

// remove takes a waiter out of the queue.
func (q *Queue) remove(w *waiter) {
	t, k := w.tenant, w.key
	k.waiters.Remove(w.place)
	w.place = nil
	t.waiting--
	q.count(-1)
	if k.waiters.Len() == 0 {
		t.ring.Remove(k.place)
		k.place = nil
	}
	if t.waiting == 0 {
		q.ring.Remove(t.place)
		t.place = nil
	}
}

// quit ends a wait, and reports whether there was still one: the turn may have come meanwhile.
func (q *Queue) quit(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.place == nil {
		return false
	}
	q.remove(w)
	q.serve() // who stood behind it may have other bounds
	q.forget(w.tenant, w.key)
	return true
}

// leave ends a turn.
func (q *Queue) leave(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	w.tenant.running--
	w.key.running--
	q.metrics.running.Dec()
	q.serve()
	q.forget(w.tenant, w.key)
}

// forget drops what neither runs nor waits.
func (q *Queue) forget(t *tenant, k *key) {
	if k.running == 0 && k.waiters.Len() == 0 {
		delete(t.keys, k.name)
	}
	if t.running == 0 && t.waiting == 0 {
		delete(q.tenants, t.name)
	}
}

func (q *Queue) count(n int) {
	q.waiting += n
	q.metrics.length.Set(float64(q.waiting))
}
