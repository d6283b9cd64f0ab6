package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// kind is what can happen.
type kind int

const (
	write kind = iota
	poisonedWrite
	corruptRecord
	receiverCrash
	consumerCrash
	consumerCrashAtInsert
	consumerStop
	expelMember
	logFaults
	tableFaults
	commitFaults
	slowTables
	tablesDown
	faultsEnd
	offsetsLost
	backup
	restoreTables
	loseTopic
	restoreLog
	replayFromOffset
	kinds
)

var kindNames = [kinds]string{
	"write", "write of what the tables refuse", "corrupt record", "receiver crashes", "consumer crashes", "consumer crashes at an insert",
	"consumer stops", "member is expelled and goes on", "the log fails", "the tables fail", "commits fail", "the tables are slow",
	"the tables are down", "faults end", "committed offsets are lost", "backup", "tables are restored", "the topic is lost", "an older copy of the log", "replay from an offset",
}

// weights say how often each kind happens.
var weights = [kinds]int{
	write: 40, poisonedWrite: 1, corruptRecord: 1, receiverCrash: 4, consumerCrash: 3, consumerCrashAtInsert: 4, consumerStop: 3,
	expelMember: 3, logFaults: 4, tableFaults: 3, commitFaults: 2, slowTables: 2, tablesDown: 2, faultsEnd: 5, offsetsLost: 2,
	backup: 5, restoreTables: 4, loseTopic: 2, restoreLog: 1, replayFromOffset: 2,
}

// event is one thing that happens, and how much time passes then. All details come from its seed, so that they stay
// when other events are left out.
type event struct {
	kind kind
	seed uint64
	then time.Duration
}

func (e *event) rand() *rand.Rand { return rand.New(rand.NewPCG(e.seed, 1)) }

// String names the event and how to get its details.
func (e event) String() string {
	return fmt.Sprintf("%s (%x), then %v", kindNames[e.kind], e.seed, e.then)
}

func list(events []event) string {
	var s strings.Builder
	for i, e := range events {
		fmt.Fprintf(&s, "  %2d %v\n", i, e)
	}
	return s.String()
}

var gaps = []time.Duration{0, 0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 1200 * time.Millisecond, 10 * time.Second}

// script makes the events of a seed.
func script(seed uint64) []event {
	r := rand.New(rand.NewPCG(seed, 0))
	total := 0
	for _, n := range weights {
		total += n
	}
	events := make([]event, 10+r.IntN(30))
	for i := range events {
		n, k := r.IntN(total), kind(0)
		for ; n >= weights[k]; k++ {
			n -= weights[k]
		}
		then := gaps[r.IntN(len(gaps))]
		if r.IntN(500) == 0 {
			then = 70 * time.Minute // label sets are announced again
		}
		events[i] = event{kind: k, seed: r.Uint64(), then: then}
	}
	return events
}

// happen makes the event happen. The world's lock is held.
func (w *world) happen(e *event) {
	r := e.rand()
	down := time.Duration(r.IntN(4)*r.IntN(5000)) * time.Millisecond
	of := r.IntN(2)
	c := w.consumers[of]
	switch e.kind {
	case write:
		w.send(w.request(r), r)
	case poisonedWrite:
		w.send([]sample{{poison, w.nowMs(), 1}}, r)
	case corruptRecord:
		w.log.append(int32(r.IntN(w.cfg.Partitions)), []byte("\x01garbage"))
	case receiverCrash:
		w.crashReceiver(of, down)
	case consumerCrash:
		if c != nil {
			c.crash(down)
		}
	case consumerCrashAtInsert:
		if c != nil && c.armed == 0 {
			c.armed, c.after, c.down = 1+r.IntN(4), r.IntN(2) == 0, down
		}
	case consumerStop:
		if c != nil {
			c.stop(down)
		}
	case expelMember:
		if c != nil && c.member.now != nil {
			w.group.expel(c.member.now, time.Duration(r.IntN(10_000))*time.Millisecond)
		}
	case logFaults:
		w.faults.log = 10 + r.IntN(60)
	case tableFaults:
		w.faults.tables = 10 + r.IntN(60)
	case commitFaults:
		w.faults.commits = 10 + r.IntN(60)
	case slowTables:
		w.faults.slow = true
	case tablesDown:
		w.faults.down = true
	case faultsEnd:
		w.faults = faults{}
	case replayFromOffset:
		w.replay(r)
	default:
		w.disaster(e.kind, r, down)
	}
}

// disaster is an event that takes something away that was durable.
func (w *world) disaster(k kind, r *rand.Rand, down time.Duration) {
	switch k {
	case offsetsLost:
		w.group.forget()
	case backup:
		if !w.log.wentBack { // see README.md
			w.tables.backups = append(w.tables.backups, len(w.tables.steps))
		}
	case restoreTables:
		if r.IntN(2) == 0 {
			w.endConsumers(down)
		}
		w.tables.restore(w.tables.backups[r.IntN(len(w.tables.backups))])
		w.oracle.release(w)
		w.tables.forgetBackupsFrom(len(w.tables.steps))
	case loseTopic:
		if r.IntN(2) == 0 {
			w.endConsumers(down)
		}
		w.log.clear()
		w.log.topics++
		w.lose()
		w.group.forget()
	case restoreLog:
		// The embedded log's folder, with the committed offsets in it, of a process that is everything.
		w.endConsumers(down)
		for id := range w.receivers {
			w.crashReceiver(id, down)
		}
		for p := range w.log.parts {
			part := &w.log.parts[p]
			part.records = part.records[:r.IntN(len(part.records)+1)]
			part.records = part.records[:len(part.records):len(part.records)]
			if c := &w.group.committed[p]; c.offset > int64(len(part.records)) {
				c.offset = int64(r.IntN(len(part.records) + 1))
			}
		}
		w.log.wentBack = true
		w.tables.backups = w.tables.backups[:1]
		w.lose()
	}
}

// lose lets go of the promises that only a log could keep that is no longer there.
func (w *world) lose() {
	w.log.losses++
	w.oracle.release(w)
}

// endConsumers crashes every process of a consumer, those that are about to end included.
func (w *world) endConsumers(down time.Duration) {
	for _, c := range w.living {
		if !c.dead {
			c.crash(down)
		}
		c.abandoned = true
	}
	w.living = nil
}
