package ha

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// schedule is a random life of a pair of replicas and two receivers: writes, silences, updates, faults.
type schedule struct {
	*world
	*rand.Rand
	faulty bool

	nextUpdate []time.Time
	writes     []write
}

// write is one request and what became of it.
type write struct {
	at       time.Time
	receiver int
	replica  string
	accepted bool
	term     int64 // that the receiver knew then
}

var replicas = []string{"a", "b"}

func newSchedule(seed uint64, faulty bool) *schedule {
	s := &schedule{world: newWorld(2), Rand: rand.New(rand.NewPCG(seed, 7)), faulty: faulty}
	s.nextUpdate = []time.Time{s.clock, s.clock.Add(time.Second)}
	return s
}

// run plays some minutes: each phase chooses who is alive, and whom each replica writes to.
func (s *schedule) run(t *testing.T) {
	for range 6 {
		alive := [2]bool{s.IntN(4) > 0, s.IntN(4) > 0}
		route := [2]int{s.IntN(3), s.IntN(3)} // 2: any
		if s.faulty {
			s.shared.fails, s.shared.loses = s.IntN(3) == 0, s.IntN(6) == 0
			if s.IntN(6) == 0 {
				clear(s.shared.states)
			}
		}
		for end := s.clock.Add(time.Duration(s.IntN(80)) * time.Second); s.clock.Before(end); {
			s.pass(time.Duration(1+s.IntN(2500)) * time.Millisecond)
			s.updateDue(t)
			replica := s.IntN(2)
			if !alive[replica] {
				continue
			}
			to := route[replica]
			if to == 2 {
				to = s.IntN(2)
			}
			s.write(t, to, replicas[replica])
		}
	}
}

// updateDue lets the receivers whose interval is over update, at the time it was over.
func (s *schedule) updateDue(t *testing.T) {
	target := s.clock
	for {
		next := 0
		if s.nextUpdate[1].Before(s.nextUpdate[0]) {
			next = 1
		}
		if s.nextUpdate[next].After(target) {
			s.clock = target
			return
		}
		s.clock = s.nextUpdate[next]
		s.receivers[next].update(t.Context())
		s.nextUpdate[next] = s.clock.Add(s.config.UpdateInterval())
	}
}

func (s *schedule) write(t *testing.T, receiver int, replica string) {
	w := write{at: s.clock, receiver: receiver, replica: replica, accepted: s.accepts(t, receiver, replica)}
	w.term = s.receivers[receiver].clusters[Key{"acme", "prod"}].view(s.clock).Term
	s.writes = append(s.writes, w)
}

// describe names the last writes before one.
func (s *schedule) describe(until int) string {
	text := ""
	for _, w := range s.writes[max(0, until-15) : until+1] {
		text += fmt.Sprintf("\n%7.3f receiver %d replica %s accepted %-5v term %d",
			w.at.Sub(s.writes[0].at).Seconds(), w.receiver, w.replica, w.accepted, w.term)
	}
	return text
}

// checkNeverDeaf checks that a replica is dropped only while another one was taken within the timeout. It holds under
// every fault: nobody's data is dropped by all.
func (s *schedule) checkNeverDeaf() error {
	last := map[string]time.Time{}
	for i, w := range s.writes {
		if w.accepted {
			last[w.replica] = w.at
			continue
		}
		other := replicas[0]
		if w.replica == other {
			other = replicas[1]
		}
		if at, ok := last[other]; !ok || w.at.Sub(at) >= s.config.FailoverTimeout {
			return fmt.Errorf("dropped though the other one was last taken at %v: %s", at, s.describe(i))
		}
	}
	return nil
}

// checkOneElected checks that no replica is taken later than an update interval after another one was elected in a
// higher term, that terms only rise, and that nobody is replaced who was not
// silent for the whole timeout.
func (s *schedule) checkOneElected() error {
	firstOf := map[int64]time.Time{}
	lastOf := map[string]time.Time{}
	highest, elected := int64(0), ""
	for i, w := range s.writes {
		if !w.accepted {
			continue
		}
		if first, ok := firstOf[w.term+1]; ok && w.at.Sub(first) > s.config.UpdateInterval() {
			return fmt.Errorf("a replica of term %d is taken %v after the next one: %s", w.term, w.at.Sub(first), s.describe(i))
		}
		if _, ok := firstOf[w.term]; !ok {
			if w.term < highest {
				return fmt.Errorf("term %d begins after %d: %s", w.term, highest, s.describe(i))
			}
			firstOf[w.term] = w.at
			silent := w.at.Sub(lastOf[elected])
			if elected != "" && w.replica != elected && silent < s.config.FailoverTimeout {
				return fmt.Errorf("%s is replaced after %v: %s", elected, silent, s.describe(i))
			}
			highest, elected = w.term, w.replica
		}
		if w.term == highest && w.replica != elected {
			return fmt.Errorf("two replicas in term %d: %s", highest, s.describe(i))
		}
		lastOf[w.replica] = w.at
	}
	return nil
}

const schedules = 1500

// TestRandomSchedules plays thousands of lives without faults and checks every promise.
func TestRandomSchedules(t *testing.T) {
	switches, dropped := 0, 0
	for seed := range uint64(schedules) {
		s := newSchedule(seed, false)
		s.run(t)
		if err := s.checkNeverDeaf(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := s.checkOneElected(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, w := range s.writes {
			if !w.accepted {
				dropped++
			}
		}
		switches += int(s.shared.state(Key{"acme", "prod"}).Term)
	}
	if switches < schedules || dropped < schedules {
		t.Errorf("%d elections and %d dropped writes in %d schedules say little", switches, dropped, schedules)
	}
}

// TestRandomFaults plays lives in which the shared state is away, loses answers and forgets. Nobody is dropped by all,
// and once it is back both receivers listen to the same replica.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(schedules) {
		s := newSchedule(seed, true)
		s.run(t)
		if err := s.checkNeverDeaf(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s.shared.fails, s.shared.loses = false, false
		s.update(t)
		s.update(t)
		for receiver := range 2 {
			s.write(t, receiver, "a")
			s.write(t, receiver, "b")
		}
		s.update(t)
		taken := map[string]int{}
		for receiver := range 2 {
			for _, r := range replicas {
				if s.accepts(t, receiver, r) {
					taken[r]++
				}
			}
		}
		if len(taken) != 1 || taken["a"]+taken["b"] != 2 {
			t.Fatalf("seed %d: after the faults %v are taken", seed, taken)
		}
	}
}
