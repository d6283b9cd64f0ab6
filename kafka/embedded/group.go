package embedded

import (
	"slices"
	"sync"
)

// group divides the partitions among the sessions that consume under one name, as Kafka's cooperative
// rebalancing does: a session keeps its claims when others come and go, and gives up only those that another
// should have. A partition goes to its next owner when the handler of the one before has returned.
type group struct {
	log  *Log
	name string

	mu       sync.Mutex
	closed   bool
	sessions []*session
	owners   []*session // of each partition; nil while nobody has it
	epoch    int32
	members  int
	open     []*member
}

func (l *Log) group(name string) (*group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	g := l.groups[name]
	if g == nil {
		g = &group{log: l, name: name, owners: make([]*session, len(l.next))}
		l.groups[name] = g
	}
	return g, nil
}

// join adds a session and balances.
func (g *group) join(s *session) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.sessions = append(g.sessions, s)
	g.balance()
	return nil
}

// leave removes a session whose claims have all ended and balances.
func (g *group) leave(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.sessions, s); i >= 0 {
		g.sessions = slices.Delete(g.sessions, i, i+1)
	}
	for p := range g.owners {
		if g.owners[p] == s {
			g.owners[p] = nil
		}
	}
	g.balance()
}

// released gives a partition back whose claim has ended, and balances.
func (g *group) released(s *session, partition int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owners[partition] == s {
		g.owners[partition] = nil
	}
	g.balance()
}

// balance gives free partitions to the sessions that have the fewest, and asks sessions that have too many to
// give some up. It is called whenever sessions or owners have changed.
func (g *group) balance() {
	if g.closed || len(g.sessions) == 0 {
		return
	}
	g.epoch++
	for _, s := range g.sessions {
		s.generation.Store(g.epoch)
	}
	for p, owner := range g.owners {
		if owner == nil {
			s := g.poorest()
			g.owners[p] = s
			s.claim(int32(p))
		}
	}
	// Whoever has the most may keep one more than the others where the partitions do not divide evenly.
	richest := slices.SortedStableFunc(slices.Values(g.sessions), func(a, b *session) int { return b.kept() - a.kept() })
	for i, s := range richest {
		fair := len(g.owners) / len(richest)
		if i < len(g.owners)%len(richest) {
			fair++
		}
		for owned := s.kept(); owned > fair; owned-- {
			s.revokeOne()
		}
	}
}

// poorest returns the session with the fewest claims that it is not giving up.
func (g *group) poorest() *session {
	return slices.MinFunc(g.sessions, func(a, b *session) int { return a.kept() - b.kept() })
}

// close ends all members.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	open := g.open
	g.open = nil
	g.mu.Unlock()
	for _, m := range open {
		_ = m.Close() // it has no error
	}
}
