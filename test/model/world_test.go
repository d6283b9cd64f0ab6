package model

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

const (
	topic = "metricstream"

	consumers = 2
	receivers = 2
)

// world is one run: the real producers and consumers, and what they stand on.
type world struct {
	seed uint64
	cfg  kafka.Config
	ctx  context.Context // of the senders

	mu        sync.Mutex
	log       *topicLog
	group     *group
	tables    tables
	faults    faults
	oracle    oracle
	receivers [receivers]*receiver
	consumers [consumers]*consumer
	living    []*consumer // that have not crashed, those that stop included
	lives     int
	draws     uint64
	healing   bool
	ended     bool // nothing is started any more
	failures  []string

	processes, senders sync.WaitGroup
}

// faults are what goes wrong now.
type faults struct {
	log, tables, commits int  // of a hundred
	slow, down           bool // of the tables
}

func newWorld(seed uint64) *world {
	w := &world{seed: seed, cfg: kafka.DefaultConfig()}
	r := w.rand("config", 0, 0, 0)
	pick := func(of ...int) int { return of[r.IntN(len(of))] }
	w.cfg.Topic = topic
	w.cfg.Partitions = pick(1, 2, 3, 4)
	w.cfg.FlushRows = pick(3, 12, 1000)
	w.cfg.MaxRecordBytes = pick(160, 900_000)
	w.cfg.DrainTimeout = time.Duration(pick(0, 2, 20)) * time.Second
	w.cfg.MaxAnnouncedSeries = pick(4, 1000)
	w.log = newTopicLog(w.cfg.Partitions)
	w.group = newGroup(w, w.cfg.Partitions)
	w.group.keepsOnRelease = r.IntN(2) == 0
	w.tables = tables{w: w, progress: map[place]int64{}, backups: []int{0}}
	w.oracle = newOracle()
	return w
}

// rand returns the random numbers of one thing that happens: they do not depend on what else happens.
func (w *world) rand(what string, numbers ...int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(what))
	for _, n := range numbers {
		h.Write([]byte{byte(n), byte(n >> 8)})
	}
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// draw returns a random number. The world's lock is held.
func (w *world) draw(n int) int {
	w.draws++
	x := w.seed + w.draws*0x9e3779b97f4a7c15 + uint64(n)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) >> 2)
}

// locked returns f under the world's lock.
func (w *world) locked(f func()) func() {
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
}

// fail notes what must not be. The world's lock is held.
func (w *world) fail(format string, args ...any) {
	if len(w.failures) < 5 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

// checkCommit is called with each offset that is committed.
func (w *world) checkCommit(p int32, c committed) {
	at := place{c.metadata, p}
	if has := w.tables.progress[at]; c.offset > max(has, w.tables.had[at]) {
		w.fail("partition %d: offset %d is committed, the tables have %d", p, c.offset, has)
	}
}

// play makes the events happen, lets everything heal, and returns what is wrong then.
func (w *world) play(events []event) []string {
	w.locked(func() {
		for i := range w.receivers {
			w.startReceiver(i)
		}
		for i := range w.consumers {
			w.startConsumer(i)
		}
	})()
	for i := range events {
		w.mu.Lock()
		w.happen(&events[i])
		w.mu.Unlock()
		time.Sleep(events[i].then)
	}
	w.heal()
	return w.failures
}

// heal ends all faults and waits until everybody has read everything; then it compares.
func (w *world) heal() {
	w.locked(func() {
		w.healing = true
		w.faults = faults{}
		for _, c := range w.consumers {
			if c != nil {
				c.armed = 0
			}
		}
	})()
	w.senders.Wait()
	time.Sleep(6 * time.Second) // records that straggle
	w.locked(func() {
		// A commit that failed is tried again with the next one, so that there has to be a next one.
		nothing := (&record.Encoder{}).Append(nil, &store.Batch{})
		for p := range w.log.parts {
			w.log.append(int32(p), nothing)
		}
	})()
	deadline := time.Now().Add(15 * time.Minute)
	for !w.caughtUp() {
		if time.Now().After(deadline) {
			w.mu.Lock()
			w.fail("the consumers do not catch up: committed %v, the log ends at %v", w.group.committed, w.log.ends())
			w.mu.Unlock()
			break
		}
		time.Sleep(time.Second)
	}
	w.stopConsumers()
	w.locked(w.compare)()
	if len(w.failures) == 0 && w.seed%4 == 0 { // it costs as much as the rest
		w.replayTwice()
	}
}

func (l *topicLog) ends() []int64 {
	ends := make([]int64, len(l.parts))
	for p := range l.parts {
		ends[p] = int64(len(l.parts[p].records))
	}
	return ends
}

// caughtUp reports whether all that is in the log is committed, by whoever.
func (w *world) caughtUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, end := range w.log.ends() {
		if c := w.group.committed[p]; end != c.offset || c.metadata != w.log.generation() {
			return false
		}
	}
	return true
}

// stopConsumers ends all consumer processes for good.
func (w *world) stopConsumers() {
	w.locked(func() {
		w.ended = true
		for _, c := range w.consumers {
			if c != nil {
				c.cancel()
			}
		}
	})()
	w.processes.Wait()
}
