package embedded

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// reader is a handler that counts what it gets and, when told to, marks and commits it.
type reader struct {
	setup   func(sarama.ConsumerGroupSession) error
	claimed func(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) error
	commit  bool

	mu     sync.Mutex
	got    map[int32][]int64
	claims map[int32]int64 // initial offsets
	active int
}

func newReader() *reader { return &reader{got: map[int32][]int64{}, claims: map[int32]int64{}} }

func (r *reader) Setup(s sarama.ConsumerGroupSession) error {
	if r.setup != nil {
		return r.setup(s)
	}
	return nil
}

func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	r.mu.Lock()
	r.claims[c.Partition()] = c.InitialOffset()
	r.active++
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.active--; r.mu.Unlock() }()
	if r.claimed != nil {
		return r.claimed(s, c)
	}
	for m := range c.Messages() {
		r.mu.Lock()
		r.got[m.Partition] = append(r.got[m.Partition], m.Offset)
		r.mu.Unlock()
		if r.commit {
			s.MarkMessage(m, "")
			s.Commit()
		}
	}
	return nil
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, offsets := range r.got {
		n += len(offsets)
	}
	return n
}

func (r *reader) running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// consume runs a member with a handler; stop ends it and returns what Consume returned.
func consume(t *testing.T, l *Log, h sarama.ConsumerGroupHandler) (g sarama.ConsumerGroup, stop func() error) {
	t.Helper()
	g = l.ConsumerGroup("g")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Consume(ctx, []string{topic}, h) }()
	stop = sync.OnceValue(func() error { cancel(); err := <-done; g.Close(); return err })
	t.Cleanup(func() { stop() })
	return g, stop
}

func TestClaimsAreDividedEvenly(t *testing.T) {
	l := open(t, t.TempDir(), testConfig()) // 4 partitions
	readers := []*reader{newReader(), newReader(), newReader()}
	var stops []func() error
	shares := func() (least, most, total int) {
		least = 99
		for _, r := range readers[:len(stops)] {
			n := r.running()
			least, most, total = min(least, n), max(most, n), total+n
		}
		return least, most, total
	}
	for _, r := range readers {
		_, stop := consume(t, l, r)
		stops = append(stops, stop)
		eventually(t, "all partitions are claimed, evenly", func() bool {
			least, most, total := shares()
			return total == 4 && most-least <= 1
		})
	}
	for range 2 {
		stops[0]()
		stops, readers = stops[1:], readers[1:]
		eventually(t, "all partitions are claimed by those who stay", func() bool { _, _, total := shares(); return total == 4 })
	}
	put(t, l, 0, 10)
	eventually(t, "the last reads everything", func() bool { return readers[0].count() == 40 })
}

func TestOffsetsMoveAsInSarama(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	put(t, l, 0, 10)
	r := newReader()
	r.setup = func(s sarama.ConsumerGroupSession) error {
		s.ResetOffset(topic, 0, 3, "") // nothing is committed: no effect
		s.MarkOffset(topic, 1, 4, "")
		s.MarkOffset(topic, 1, 2, "") // only forward
		s.MarkOffset(topic, 2, 7, "")
		s.ResetOffset(topic, 2, 5, "") // only back
		s.ResetOffset(topic, 2, 6, "")
		s.MarkOffset("other", 3, 9, "")
		s.Commit()
		return nil
	}
	want := map[int32]int64{0: sarama.OffsetOldest, 1: 4, 2: 5, 3: sarama.OffsetOldest}
	_, stop := consume(t, l, r)
	eventually(t, "everything from there is read", func() bool { return r.count() == 10+6+5+10 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	for p, initial := range want {
		if r.claims[p] != initial {
			t.Errorf("partition %d begins at %d, want %d", p, r.claims[p], initial)
		}
		if got := l.offsets.committed("g", p); got != max(initial, -1) {
			t.Errorf("partition %d: committed is %d", p, got)
		}
	}
}

func TestAnOffsetThatIsNotThereBeginsWithTheOldest(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	put(t, l, 0, 10)
	commitAll(t, l, "g", 1000)
	r := newReader()
	consume(t, l, r)
	eventually(t, "everything is read", func() bool { return r.count() == 40 })
}

func TestPausedPartitionsWait(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	r := newReader()
	g, _ := consume(t, l, r)
	g.Pause(map[string][]int32{topic: {2}})
	put(t, l, 0, 100)
	eventually(t, "the others are read", func() bool { return r.count() >= 300 })
	r.mu.Lock()
	paused := len(r.got[2])
	r.mu.Unlock()
	if paused > 1 { // one may have been on its way
		t.Errorf("%d records of the paused partition were read", paused)
	}
	g.Resume(map[string][]int32{topic: {2}})
	eventually(t, "all are read", func() bool { return r.count() == 400 })
	g.PauseAll()
	g.ResumeAll()
	put(t, l, 100, 1)
	eventually(t, "all are read", func() bool { return r.count() == 404 })
}

func TestAHandlerThatReturnsEndsTheSession(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	broken := errors.New("broken")
	r := newReader()
	r.claimed = func(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
		if c.Partition() == 1 {
			return broken
		}
		for range c.Messages() {
		}
		return nil
	}
	g := l.ConsumerGroup("g")
	defer g.Close()
	if err := g.Consume(t.Context(), []string{topic}, r); err != nil {
		t.Errorf("Consume returned %v", err)
	}
	if err := <-g.Errors(); !errors.Is(err, broken) {
		t.Errorf("the error reported is %v", err)
	}
	r = newReader()
	r.setup = func(sarama.ConsumerGroupSession) error { return broken }
	if err := g.Consume(t.Context(), []string{topic}, r); !errors.Is(err, broken) {
		t.Errorf("Consume returned %v, want Setup's error", err)
	}
	if err := g.Consume(t.Context(), []string{"other"}, r); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("another topic: got %v", err)
	}
}

func TestClosingTheLogEndsConsumers(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	r := newReader()
	g := l.ConsumerGroup("g")
	done := make(chan error, 1)
	go func() { done <- g.Consume(t.Context(), []string{topic}, r) }()
	eventually(t, "it consumes", func() bool { return r.running() == 4 })
	closeLog(t, l)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := g.Consume(t.Context(), []string{topic}, r); !errors.Is(err, sarama.ErrClosedConsumerGroup) {
		t.Errorf("after the end: got %v", err)
	}
	if err := l.ConsumerGroup("g").Consume(t.Context(), []string{topic}, r); !errors.Is(err, sarama.ErrClosedConsumerGroup) {
		t.Errorf("a member of a closed log: got %v", err)
	}
}

func TestMembersComeAndGoWhileRecordsArrive(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	all := []*reader{}
	writing := make(chan struct{})
	go func() { defer close(writing); put(t, l, 0, 300) }()
	var stops []func() error
	for range 12 {
		r := newReader()
		r.commit = true
		all = append(all, r)
		_, stop := consume(t, l, r)
		if stops = append(stops, stop); len(stops) > 3 {
			eventually(t, "it has a partition", func() bool { return r.running() > 0 })
			stops[0]()
			stops = stops[1:]
		}
	}
	<-writing
	eventually(t, "every record is read by somebody", func() bool {
		seen := map[[2]int64]bool{}
		for _, r := range all {
			r.mu.Lock()
			for p, offsets := range r.got {
				for _, o := range offsets {
					seen[[2]int64{int64(p), o}] = true
				}
			}
			r.mu.Unlock()
		}
		return len(seen) == 1200
	})
}
