package model

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// rebalanceTimeout is how long the group waits for a claim that it wants back.
const rebalanceTimeout = time.Minute

var errFenced = errors.New("the member is not of this generation of the group")

// group is a consumer group with cooperative rebalancing. The world's lock guards it and all that is in it.
type group struct {
	w         *world
	committed []committed
	sessions  []*session
	owners    []*session
	epoch     int32

	// keepsOnRelease is what becomes of marked offsets when one claim is given back: committed, or forgotten.
	keepsOnRelease bool
}

// committed is what a group has committed of a partition; an offset of -1 is nothing.
type committed struct {
	offset   int64
	metadata string
}

func newGroup(w *world, partitions int) *group {
	g := &group{w: w, committed: make([]committed, partitions), owners: make([]*session, partitions)}
	g.forget()
	return g
}

// forget loses the committed offsets.
func (g *group) forget() {
	for p := range g.committed {
		g.committed[p] = committed{offset: -1}
	}
}

// commit takes an offset from a session that may be a zombie's.
func (g *group) commit(s *session, p int32, c committed) error {
	switch {
	case s.member.of.dead:
		return nil
	case s.fenced || g.owners[p] != s:
		return errFenced
	case g.w.draw(s.member.of.id)%100 < g.w.faults.commits:
		return errNotAcked
	}
	g.committed[p] = c
	g.w.checkCommit(p, c)
	return nil
}

// balance gives free partitions to whom has the fewest, and asks back from whom has too many.
func (g *group) balance() {
	if len(g.sessions) == 0 {
		return
	}
	g.epoch++
	for p, owner := range g.owners {
		if owner != nil {
			continue
		}
		poorest := g.sessions[0]
		for _, s := range g.sessions {
			if s.kept() < poorest.kept() {
				poorest = s
			}
		}
		g.owners[p] = poorest
		poorest.claim(int32(p))
	}
	most := (len(g.owners) + len(g.sessions) - 1) / len(g.sessions)
	for _, s := range g.sessions {
		for s.kept() > most {
			s.revokeOne()
		}
	}
}

// remove takes a session out of the group.
func (g *group) remove(s *session) {
	for i := range g.sessions {
		if g.sessions[i] == s {
			g.sessions = append(g.sessions[:i], g.sessions[i+1:]...)
			break
		}
	}
	for p := range g.owners {
		if g.owners[p] == s {
			g.owners[p] = nil
		}
	}
	g.balance()
}

// expel takes the partitions of a session that goes on as a zombie until it hears of it.
func (g *group) expel(s *session, hears time.Duration) {
	if s.fenced || s.over {
		return
	}
	s.fenced = true
	g.remove(s)
	time.AfterFunc(hears, func() { s.cancel() })
}

// member is a consumer's sarama.ConsumerGroup.
type member struct {
	sarama.ConsumerGroup
	group  *group
	of     *consumer
	errors chan error
	now    *session
}

// Errors returns the channel of what went wrong.
func (m *member) Errors() <-chan error { return m.errors }

// Close ends Errors. Consume has returned: the consumer calls it then.
func (m *member) Close() error { close(m.errors); return nil }

// Pause does nothing: a claim that nobody reads stands still by itself.
func (m *member) Pause(map[string][]int32) {}

// Resume does nothing.
func (m *member) Resume(map[string][]int32) {}

// Consume is one session. It ends with its context, when the group has expelled it, and when a handler has returned
// unasked.
func (m *member) Consume(ctx context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	g := m.group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{member: m, handler: h, ctx: ctx, cancel: cancel, claims: map[int32]*claim{}, positions: map[int32]*position{}}
	g.w.mu.Lock()
	m.now = s
	g.sessions = append(g.sessions, s)
	g.balance()
	g.w.mu.Unlock()
	err := h.Setup(s)
	if err == nil {
		s.start()
		<-ctx.Done()
	}
	cancel()
	s.stop()
	if e := h.Cleanup(s); err == nil {
		err = e
	}
	s.Commit()
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	s.over = true
	if m.of.dead {
		return err // the group waits for its session's timeout, see consumer.crash
	}
	g.remove(s)
	return err
}
