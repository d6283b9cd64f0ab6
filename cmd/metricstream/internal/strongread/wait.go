package strongread

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/metricstream/metricstream/kafka"
)

const (
	// pollInterval is how often the tables are asked while somebody waits.
	pollInterval = 50 * time.Millisecond

	// maxWaiting and maxGenerations bound the reads that wait, and the generations of the topic that they wait
	// for: each is one question to the tables.
	maxWaiting     = 2000
	maxGenerations = 8
)

// Run looks at the log and at the tables for those that wait, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	if g.Log != nil {
		loops.Go(func() { g.ends.run(ctx, g.Log, g.Config.Timeout) })
	}
	loops.Go(func() { g.poll(ctx) })
	loops.Wait()
	return ctx.Err()
}

// lookups share looks at where the log ends: a request joins the next one, because the one under way may have begun
// before the request came.
type lookups struct {
	wake chan struct{}

	mu   sync.Mutex
	next *lookup // nil: nobody waits for one
}

type lookup struct {
	done chan struct{}
	ends kafka.Ends
	err  error
}

// join waits for a look that begins after the call.
func (l *lookups) join(ctx context.Context) (kafka.Ends, error) {
	l.mu.Lock()
	if l.next == nil {
		l.next = &lookup{done: make(chan struct{})}
	}
	call := l.next
	l.mu.Unlock()
	nudge(l.wake)
	select {
	case <-call.done:
		return call.ends, call.err
	case <-ctx.Done():
		return kafka.Ends{}, ctx.Err()
	}
}

func (l *lookups) run(ctx context.Context, log Log, timeout time.Duration) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		call := l.next
		l.next = nil
		l.mu.Unlock()
		if call == nil {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, timeout)
		call.ends, call.err = log.Ends(asking)
		cancel()
		close(call.done)
	}
}

// waiters are the reads that wait for the tables.
type waiters struct {
	wake chan struct{}

	mu       sync.Mutex
	waiting  map[*waiter]struct{}
	failure  error // of the last look at the tables
	progress offsets
}

type waiter struct {
	need offsets
	done chan struct{}
}

// wait returns when the tables have what is needed.
func (w *waiters) wait(ctx context.Context, need offsets, timeout time.Duration) error {
	me := &waiter{need, make(chan struct{})}
	if err := w.enter(me); err != nil {
		return err
	}
	nudge(w.wake)
	select {
	case <-me.done:
		return nil
	case <-ctx.Done():
		return w.giveUp(me, timeout)
	}
}

func (w *waiters) enter(me *waiter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[*waiter]struct{}{}
	}
	w.waiting[me] = struct{}{}
	if len(w.waiting) > maxWaiting || len(w.generations()) > maxGenerations {
		delete(w.waiting, me)
		return &refusal{limited, fmt.Sprintf("more than %d reads wait for what was written, or for more than %d generations of the topic; %s",
			maxWaiting, maxGenerations, withoutHeader)}
	}
	return nil
}

// giveUp says what is missing. The request may also just have gone away.
func (w *waiters) giveUp(me *waiter, timeout time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, me)
	if w.failure != nil {
		return &refusal{timedOut, fmt.Sprintf("cannot learn what the tables have: %v; %s", w.failure, withoutHeader)}
	}
	for generation, partitions := range me.need {
		for partition, next := range partitions {
			if at := w.progress[generation][partition]; at < next {
				return &refusal{timedOut, fmt.Sprintf("what was written before this request is not in the tables after %v (strong_reads.timeout): "+
					"partition %d is at offset %d of %d; look whether the consumers run, and at their metricstream_consumer_lag_seconds; %s",
					timeout, partition, at, next, withoutHeader)}
			}
		}
	}
	return nil // it came at the last moment
}

// generations returns those that somebody waits for.
func (w *waiters) generations() []string {
	seen := map[string]struct{}{}
	var list []string
	for one := range w.waiting {
		for generation := range one.need {
			if _, ok := seen[generation]; !ok {
				seen[generation] = struct{}{}
				list = append(list, generation)
			}
		}
	}
	return list
}

// wanted returns the generations to ask the tables for.
func (w *waiters) wanted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generations()
}

// release lets those go that have what they need.
func (w *waiters) release(progress offsets, failure error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress, w.failure = progress, failure
	for one := range w.waiting {
		if progress.reach(one.need) {
			close(one.done)
			delete(w.waiting, one)
		}
	}
}

// reach reports whether o is nowhere before need.
func (o offsets) reach(need offsets) bool {
	for generation, partitions := range need {
		for partition, next := range partitions {
			if o[generation][partition] < next {
				return false
			}
		}
	}
	return true
}

// poll asks the tables again and again while somebody waits.
func (g *Gate) poll(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		generations := g.tables.wanted()
		if len(generations) == 0 {
			select {
			case <-g.tables.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		g.tables.release(g.look(ctx, generations))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look asks the tables for their progress. What could be read counts also where something could not.
func (g *Gate) look(ctx context.Context, generations []string) (progress offsets, failure error) {
	ctx, cancel := context.WithTimeout(ctx, g.Config.Timeout)
	defer cancel()
	progress = offsets{}
	for _, generation := range generations {
		at, err := g.Progress.Progress(ctx, g.Topic, generation)
		if err != nil {
			failure = err
			continue
		}
		progress[generation] = at
	}
	return progress, failure
}

func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
