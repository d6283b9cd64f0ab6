package embedded

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// position is where a claimed partition stands: the next offset to read after a restart.
type position struct {
	offset   int64 // -1: none was committed
	metadata string
	dirty    bool
}

// session implements sarama.ConsumerGroupSession: one call of Consume.
type session struct {
	member     *member
	handler    sarama.ConsumerGroupHandler
	ctx        context.Context
	cancel     context.CancelCauseFunc
	generation atomic.Int32
	handlers   sync.WaitGroup

	mu        sync.Mutex
	started   bool
	stopped   bool
	claims    map[int32]*claim
	positions map[int32]*position

	// commits keeps commits in order.
	commits sync.Mutex
}

// claim takes a partition. The group calls it, and the other methods down to kept, under its lock.
func (s *session) claim(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newClaim(s, partition)
	s.claims[partition] = c
	s.positions[partition] = &position{offset: s.log().offsets.committed(s.member.group.name, partition)}
	if s.started && !s.stopped {
		s.run(c)
	}
}

// revokeOne asks for one of the claims back.
func (s *session) revokeOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.claims {
		if !c.revoked {
			c.revoked = true
			close(c.revoke)
			if !s.started && !s.stopped {
				// There is no handler to wait for; the group's lock is held, so give it back elsewhere.
				s.handlers.Go(func() { s.end(c) })
			}
			return
		}
	}
}

// kept returns the number of claims that are not being given up.
func (s *session) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.claims {
		if !c.revoked {
			n++
		}
	}
	return n
}

// start runs the handler of each claim.
func (s *session) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	for _, c := range s.claims {
		if !c.revoked {
			s.run(c)
		}
	}
}

// run starts the reader and the handler of a claim.
func (s *session) run(c *claim) {
	c.initial = s.positions[c.partition].offset
	if c.initial < 0 {
		c.initial = sarama.OffsetOldest
	}
	s.handlers.Go(c.read)
	s.handlers.Go(func() {
		if err := s.handler.ConsumeClaim(s, c); err != nil {
			s.member.report(err, c.partition)
		}
		c.stop()
		s.mu.Lock()
		revoked := c.revoked
		s.mu.Unlock()
		if !revoked {
			s.cancel(sarama.ErrSessionConsumeClaimExited)
			return
		}
		s.end(c)
	})
}

// end gives the partition of a revoked claim back to the group.
func (s *session) end(c *claim) {
	s.mu.Lock()
	delete(s.claims, c.partition)
	delete(s.positions, c.partition)
	s.mu.Unlock()
	s.member.group.released(s, c.partition)
}

// stop waits for all handlers. The session's context is done.
func (s *session) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.handlers.Wait()
}

func (s *session) log() *Log { return s.member.group.log }

// Claims returns the partitions that the session has.
func (s *session) Claims() map[string][]int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var partitions []int32
	for p := range s.log().arrivals {
		if s.claims[int32(p)] != nil {
			partitions = append(partitions, int32(p))
		}
	}
	return map[string][]int32{s.log().opts.Topic: partitions}
}

// MemberID names the member.
func (s *session) MemberID() string { return s.member.id }

// GenerationID counts the group's rebalances.
func (s *session) GenerationID() int32 { return s.generation.Load() }

// Context is done when the session ends.
func (s *session) Context() context.Context { return s.ctx }

// MarkOffset moves the partition's position forward.
func (s *session) MarkOffset(topic string, partition int32, offset int64, metadata string) {
	s.move(topic, partition, func(p *position) bool { return offset > p.offset }, offset, metadata)
}

// ResetOffset moves the partition's position back.
func (s *session) ResetOffset(topic string, partition int32, offset int64, metadata string) {
	s.move(topic, partition, func(p *position) bool { return offset <= p.offset }, offset, metadata)
}

// MarkMessage marks everything up to the message.
func (s *session) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	s.MarkOffset(m.Topic, m.Partition, m.Offset+1, metadata)
}

func (s *session) move(topic string, partition int32, may func(*position) bool, offset int64, metadata string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.positions[partition]
	if topic == s.log().opts.Topic && p != nil && may(p) {
		*p = position{offset: offset, metadata: metadata, dirty: true}
	}
}

// Commit makes the positions durable. As sarama's, it reports what goes wrong on the member's channel.
func (s *session) Commit() {
	s.commits.Lock()
	defer s.commits.Unlock()
	dirty := make(map[int32]int64)
	s.mu.Lock()
	for p, pos := range s.positions {
		if pos.dirty {
			dirty[p] = pos.offset
		}
	}
	s.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	if err := s.log().offsets.commit(s.member.group.name, dirty); err != nil {
		for p := range dirty {
			s.member.report(err, p)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, offset := range dirty {
		if pos := s.positions[p]; pos != nil && pos.offset == offset {
			pos.dirty = false
		}
	}
}
