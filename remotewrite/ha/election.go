// Package ha owns the election among the replicas of a sender: Prometheus servers that scrape the same, of which
// one is listened to. It holds the rule of the election, what this process knows of each cluster, and the state that
// all receivers share. It leaves to its caller how replicas are recognised and what is done with a duplicate.
package ha

import "time"

// Key names an election: a tenant's cluster of replicas.
type Key struct{ Tenant, Cluster string }

// View is what somebody knows of an election. Times are given as ages, so that receivers need not agree on the time
// of day. The zero View knows nothing.
type View struct {
	// Replica is the elected one.
	Replica string

	// Term counts the elections; a view of a higher term is newer.
	Term int64

	// Age is how long ago the replica was elected, and SeenAge how long ago it was last heard, by anybody.
	Age, SeenAge time.Duration
}

// Ask is what a receiver says to whoever decides, and asks of it.
type Ask struct {
	Key Key

	// Mine is what the receiver knows. It counts where its term is higher than that of the state, which is so
	// where the state was lost, or where it was away and the receiver had to decide alone.
	Mine View

	// Candidate is a replica that has just been heard and wants to be the elected one; empty is none.
	Candidate string
}

// Decide is the rule of the election: what holds after somebody asked where state held before. It is the only place
// where a replica becomes elected; the script in Redis is the same rule. A candidate takes over only where nobody is
// elected or the elected one was not heard for failover.
func Decide(state View, a Ask, failover time.Duration) View {
	switch {
	case a.Mine.Term > state.Term:
		state = a.Mine
	case a.Mine.Term == state.Term && a.Mine.Replica == state.Replica:
		state.SeenAge = min(state.SeenAge, a.Mine.SeenAge)
	}
	if a.Candidate == "" {
		return state
	}
	if a.Candidate == state.Replica && state.Term > 0 {
		state.SeenAge = 0
		return state
	}
	if state.Term == 0 || state.SeenAge >= failover {
		return View{Replica: a.Candidate, Term: state.Term + 1}
	}
	return state
}
