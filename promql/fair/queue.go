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

// Claim says whose a turn is.
type Claim struct {
	// Tenant is in whose name it waits, and Of for which tenants it counts when it comes: those that are read.
	Tenant string
	Of     []Count

	// Key is the key that asks, and KeyMost how many turns it has at once, of whichever tenants; 0 is no bound.
	Key     string
	KeyMost int64
}

// Count is a tenant that a turn counts for, and how many turns it has at once at most; 0 is no bound.
type Count struct {
	Tenant string
	Most   int64
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
	tenants map[string]*tenant // those with waiting
	ring    list.List          // of *tenant: who is next stands in front

	// running and keysRunning are the turns that tenants and keys have.
	running, keysRunning map[string]int64
}

// tenant is one tenant in the queue.
type tenant struct {
	name    string
	waiting int
	lines   map[string]*line
	ring    list.List // of *line
	place   *list.Element
}

// line is what waits in the name of a tenant, by one key for the same tenants, in the order in which it came: all of it
// has the same bounds, so that nothing waits for what is behind it.
type line struct {
	name    string
	waiters list.List // of *waiter
	place   *list.Element
}

// waiter is one read that waits.
type waiter struct {
	claim  Claim
	tenant *tenant
	line   *line
	place  *list.Element // nil when it has its turn or has left
	turn   chan struct{}
}

// line returns the name of the line that a claim waits in. Names of keys and tenants have no slash.
func (c *Claim) line() string {
	name := c.Key
	for _, t := range c.Of {
		name += "/" + t.Tenant
	}
	return name
}

// New returns a queue. Slots and MaxWaiting have to be positive.
func New(o Options) *Queue {
	return &Queue{
		free: o.Slots, maxWaiting: o.MaxWaiting, metrics: newMetrics(o.Registerer),
		tenants: map[string]*tenant{}, running: map[string]int64{}, keysRunning: map[string]int64{},
	}
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

// join puts a read at the end of its line.
func (q *Queue) join(c Claim) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[c.Tenant]
	if t == nil {
		t = &tenant{name: c.Tenant, lines: map[string]*line{}}
		t.place = q.ring.PushBack(t)
		q.tenants[c.Tenant] = t
	}
	name := c.line()
	l := t.lines[name]
	if l == nil {
		l = &line{name: name}
		l.place = t.ring.PushBack(l)
		t.lines[name] = l
	}
	w := &waiter{claim: c, tenant: t, line: l, turn: make(chan struct{})}
	w.place = l.waiters.PushBack(w)
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
		w.tenant.ring.MoveToBack(w.line.place)
		q.remove(w)
		q.free--
		q.charge(&w.claim, 1)
		q.metrics.running.Inc()
		close(w.turn)
	}
}

// next returns who has the next turn, nil where nobody may.
func (q *Queue) next() *waiter {
	for t := q.ring.Front(); t != nil; t = t.Next() {
		for l := t.Value.(*tenant).ring.Front(); l != nil; l = l.Next() {
			if w := l.Value.(*line).waiters.Front().Value.(*waiter); q.may(&w.claim) {
				return w
			}
		}
	}
	return nil
}

// may reports whether the bounds of the tenants and of the key leave room for one more turn.
func (q *Queue) may(c *Claim) bool {
	for _, t := range c.Of {
		if t.Most > 0 && q.running[t.Tenant] >= t.Most {
			return false
		}
	}
	return c.KeyMost <= 0 || q.keysRunning[c.Key] < c.KeyMost
}

// charge counts n more turns.
func (q *Queue) charge(c *Claim, n int64) {
	for _, t := range c.Of {
		add(q.running, t.Tenant, n)
	}
	add(q.keysRunning, c.Key, n)
}

func add(counts map[string]int64, name string, n int64) {
	counts[name] += n
	if counts[name] == 0 {
		delete(counts, name)
	}
}

// remove takes a waiter out of the queue, and forgets the line and the tenant that nothing is left of.
func (q *Queue) remove(w *waiter) {
	t, l := w.tenant, w.line
	l.waiters.Remove(w.place)
	w.place = nil
	t.waiting--
	q.count(-1)
	if l.waiters.Len() == 0 {
		t.ring.Remove(l.place)
		delete(t.lines, l.name)
	}
	if t.waiting == 0 {
		q.ring.Remove(t.place)
		delete(q.tenants, t.name)
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
	return true
}

// leave ends a turn.
func (q *Queue) leave(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.charge(&w.claim, -1)
	q.metrics.running.Dec()
	q.serve()
}

func (q *Queue) count(n int) {
	q.waiting += n
	q.metrics.length.Set(float64(q.waiting))
}
