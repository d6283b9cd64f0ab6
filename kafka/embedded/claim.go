package embedded

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// claimBuffer is how many records are read ahead of the handler.
const claimBuffer = 64

// readRetry is how long a claim waits before it reads a damaged record again.
const readRetry = 5 * time.Second

// claim implements sarama.ConsumerGroupClaim: one partition of a session.
type claim struct {
	session   *session
	partition int32
	initial   int64
	messages  chan *sarama.ConsumerMessage
	revoke    chan struct{} // closed when another session should have the partition
	ended     chan struct{} // closed when the handler has returned
	endOnce   sync.Once
	revoked   bool // guarded by the session
}

func newClaim(s *session, partition int32) *claim {
	return &claim{
		session: s, partition: partition,
		messages: make(chan *sarama.ConsumerMessage, claimBuffer),
		revoke:   make(chan struct{}),
		ended:    make(chan struct{}),
	}
}

// Topic returns the log's topic.
func (c *claim) Topic() string { return c.session.log().opts.Topic }

// Partition returns the claimed partition.
func (c *claim) Partition() int32 { return c.partition }

// InitialOffset returns where the claim began, sarama.OffsetOldest where the group had committed nothing.
func (c *claim) InitialOffset() int64 { return c.initial }

// HighWaterMarkOffset returns the offset that the partition's next record will have.
func (c *claim) HighWaterMarkOffset() int64 {
	_, next := c.session.log().bounds(c.partition)
	return next
}

// Messages returns the records. It is closed when the partition is revoked or the session ends.
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

func (c *claim) stop() { c.endOnce.Do(func() { close(c.ended) }) }

// read feeds the handler until the claim ends.
func (c *claim) read() {
	defer close(c.messages)
	log := c.session.log()
	offset := c.initial
	if oldest, next := log.bounds(c.partition); offset < oldest || offset > next {
		offset = oldest
	}
	for {
		if resumed := c.session.member.pausedUntil(c.partition); resumed != nil {
			if !c.wait(resumed) {
				return
			}
			continue
		}
		m, arrival, err := log.read(c.partition, offset)
		switch {
		case errors.Is(err, ErrClosed):
			return
		case err != nil:
			c.session.member.report(err, c.partition)
			if !c.pause(readRetry) {
				return
			}
		case m == nil:
			if !c.wait(arrival) {
				return
			}
		case !c.send(m):
			return
		default:
			offset = m.Offset + 1
		}
	}
}

func (c *claim) send(m *sarama.ConsumerMessage) bool {
	select {
	case c.messages <- m:
		return true
	case <-c.session.ctx.Done():
	case <-c.session.member.closed:
	case <-c.revoke:
	case <-c.ended:
	}
	return false
}

func (c *claim) wait(until <-chan struct{}) bool {
	select {
	case <-until:
		return true
	case <-c.session.ctx.Done():
	case <-c.session.member.closed:
	case <-c.revoke:
	case <-c.ended:
	}
	return false
}

func (c *claim) pause(d time.Duration) bool {
	done := make(chan struct{})
	stop := time.AfterFunc(d, func() { close(done) })
	defer stop.Stop()
	return c.wait(done)
}
