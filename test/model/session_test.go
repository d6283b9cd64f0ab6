package model

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// position is where a claim stands: what the next commit commits.
type position struct {
	committed
	dirty bool
}

// session implements sarama.ConsumerGroupSession. The world's lock guards it.
type session struct {
	sarama.ConsumerGroupSession
	member    *member
	handler   sarama.ConsumerGroupHandler
	ctx       context.Context
	cancel    context.CancelFunc
	handlers  sync.WaitGroup
	claims    map[int32]*claim
	positions map[int32]*position

	started, stopped bool
	fenced           bool // the group has expelled it
	over             bool
}

// claim takes a partition.
func (s *session) claim(p int32) {
	c := &claim{s: s, p: p, messages: make(chan *sarama.ConsumerMessage, 4), revoke: make(chan struct{}), ended: make(chan struct{})}
	s.claims[p] = c
	s.positions[p] = &position{committed: s.member.group.committed[p]}
	if s.started && !s.stopped {
		s.run(c)
	}
}

func (s *session) kept() int {
	n := 0
	for _, c := range s.claims {
		if !c.revoked {
			n++
		}
	}
	return n
}

// revokeOne asks for the last claim back, and expels the member that does not give it back in time.
func (s *session) revokeOne() {
	for p := int32(len(s.member.group.owners)) - 1; p >= 0; p-- {
		c := s.claims[p]
		if c == nil || c.revoked {
			continue
		}
		c.revoked = true
		close(c.revoke)
		if !s.started && !s.stopped {
			s.handlers.Go(func() { s.end(c) })
			return
		}
		c.overdue = time.AfterFunc(rebalanceTimeout, func() {
			s.member.group.w.mu.Lock()
			defer s.member.group.w.mu.Unlock()
			s.member.group.expel(s, 0)
		})
		return
	}
}

func (s *session) start() {
	s.lock()
	defer s.unlock()
	s.started = true
	for _, c := range s.claims {
		if !c.revoked {
			s.run(c)
		}
	}
}

// run starts the reader and the handler of a claim.
func (s *session) run(c *claim) {
	c.initial = s.positions[c.p].offset
	if c.initial < 0 {
		c.initial = sarama.OffsetOldest
	}
	s.handlers.Go(c.read)
	s.handlers.Go(func() {
		if err := s.handler.ConsumeClaim(s, c); err != nil {
			s.report(err)
		}
		close(c.ended)
		s.lock()
		revoked := c.revoked
		s.unlock()
		if revoked {
			s.end(c)
			return
		}
		s.cancel()
	})
}

// end gives the partition of a revoked claim back.
func (s *session) end(c *claim) {
	if s.member.group.keepsOnRelease {
		s.Commit()
	}
	s.lock()
	defer s.unlock()
	if c.overdue != nil {
		c.overdue.Stop()
	}
	delete(s.claims, c.p)
	delete(s.positions, c.p)
	if g := s.member.group; g.owners[c.p] == s && !s.member.of.dead {
		g.owners[c.p] = nil
		g.balance()
	}
}

// stop waits for all handlers.
func (s *session) stop() {
	s.lock()
	s.stopped = true
	s.unlock()
	s.handlers.Wait()
}

func (s *session) lock()   { s.member.group.w.mu.Lock() }
func (s *session) unlock() { s.member.group.w.mu.Unlock() }

// report hands an error to the consumer, which logs it.
func (s *session) report(err error) {
	select {
	case s.member.errors <- err:
	case <-s.ctx.Done():
	}
}

// Claims returns the partitions that the session has.
func (s *session) Claims() map[string][]int32 {
	s.lock()
	defer s.unlock()
	var ps []int32
	for p := range s.claims {
		ps = append(ps, p)
	}
	slices.Sort(ps)
	return map[string][]int32{topic: ps}
}

// GenerationID counts rebalances.
func (s *session) GenerationID() int32 { return s.member.group.epoch }

// Context ends with the session.
func (s *session) Context() context.Context { return s.ctx }

// MarkOffset moves a position forward.
func (s *session) MarkOffset(_ string, p int32, offset int64, metadata string) {
	s.lock()
	defer s.unlock()
	if pos := s.positions[p]; pos != nil && offset > pos.offset {
		*pos = position{committed{offset, metadata}, true}
	}
}

// ResetOffset moves a position back.
func (s *session) ResetOffset(_ string, p int32, offset int64, metadata string) {
	s.lock()
	defer s.unlock()
	if pos := s.positions[p]; pos != nil && offset <= pos.offset {
		*pos = position{committed{offset, metadata}, true}
	}
}

// Commit commits the positions that were moved. One that fails is committed again with the next.
func (s *session) Commit() {
	s.lock()
	var failed error
	for p, pos := range s.positions {
		if pos.dirty {
			if err := s.member.group.commit(s, p, pos.committed); err != nil {
				failed = err
			} else {
				pos.dirty = false
			}
		}
	}
	s.unlock()
	if failed != nil {
		s.report(failed)
	}
}

// claim implements sarama.ConsumerGroupClaim.
type claim struct {
	sarama.ConsumerGroupClaim
	s        *session
	p        int32
	initial  int64
	messages chan *sarama.ConsumerMessage
	revoke   chan struct{} // closed when another session should have the partition
	ended    chan struct{} // closed when the handler has returned
	revoked  bool
	overdue  *time.Timer
}

func (c *claim) Topic() string                            { return topic }
func (c *claim) Partition() int32                         { return c.p }
func (c *claim) InitialOffset() int64                     { return c.initial }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// HighWaterMarkOffset returns the offset of the next record.
func (c *claim) HighWaterMarkOffset() int64 {
	c.s.lock()
	defer c.s.unlock()
	return int64(len(c.s.member.group.w.log.parts[c.p].records))
}

// read feeds the handler until the claim ends. A claim beyond the end of the log begins with the oldest record.
func (c *claim) read() {
	defer close(c.messages)
	offset := max(0, c.initial)
	var gone chan struct{}
	for first := true; ; first = false {
		c.s.lock()
		part := c.s.member.group.w.log.parts[c.p]
		c.s.unlock()
		if first {
			gone = part.gone
		}
		if gone != part.gone {
			return
		}
		if first && offset > int64(len(part.records)) {
			offset = 0
		}
		var out chan<- *sarama.ConsumerMessage
		var m *sarama.ConsumerMessage
		if offset < int64(len(part.records)) {
			out, m = c.messages, part.records[offset]
		}
		select {
		case out <- m:
			offset++
		case <-part.changed:
		case <-gone:
			return
		case <-c.s.ctx.Done():
			return
		case <-c.revoke:
			return
		case <-c.ended:
			return
		}
	}
}
