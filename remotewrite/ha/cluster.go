package ha

import (
	"sync"
	"time"
)

// cluster is what this receiver knows of one election.
type cluster struct {
	key Key

	// asking holds a token while a request waits for an answer about the cluster: one question is enough.
	asking chan struct{}

	mu      sync.Mutex
	replica string
	term    int64 // 0: nobody is elected yet
	elected time.Time
	seen    time.Time // when the elected one was last heard, here or elsewhere
	heard   time.Time // when any replica was last heard here
}

func newCluster(k Key, now time.Time) *cluster {
	return &cluster{key: k, asking: make(chan struct{}, 1), heard: now}
}

// verdict says what is to be done with what a replica sent.
type verdict int

const (
	duplicate verdict = iota
	accept
	ask // nobody is elected, or the elected one is or was silent
)

// judge tells what a replica's data is, and remembers that it was heard.
//
// An elected replica that was silent for nearly the whole timeout is asked about too before it is listened to: another
// receiver may just be electing another one. As whoever is heard sooner is heard of in time, an update interval later at the
// most, nobody is replaced who was not silent for the whole timeout.
func (c *cluster) judge(replica string, now time.Time, config *Config) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = now
	silent := now.Sub(c.seen)
	switch {
	case c.term == 0:
		return ask
	case c.replica == replica && silent < config.FailoverTimeout-config.UpdateInterval():
		c.seen = later(c.seen, now)
		return accept
	case c.replica != replica && silent < config.FailoverTimeout:
		return duplicate
	default:
		return ask
	}
}

// view returns what is known.
func (c *cluster) view(now time.Time) View {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term == 0 {
		return View{}
	}
	return View{Replica: c.replica, Term: c.term, Age: max(0, now.Sub(c.elected)), SeenAge: max(0, now.Sub(c.seen))}
}

// apply takes over a view, unless a newer one has been, and returns which replica was replaced; empty is none. Of two
// views of one term the one that comes from outside counts: both were elected where nobody knew of the other.
func (c *cluster) apply(v View, now time.Time) (replaced string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.Term < c.term || v.Term == 0 {
		return ""
	}
	seen := now.Add(-v.SeenAge)
	if v.Replica == c.replica {
		c.term, c.seen = v.Term, later(c.seen, seen)
		return ""
	}
	replaced = c.replica
	c.replica, c.term, c.elected, c.seen = v.Replica, v.Term, now.Add(-v.Age), seen
	return replaced
}

// idle reports whether nobody has written here for so long that the cluster is forgotten.
func (c *cluster) idle(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.heard) > forgetAfter
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
