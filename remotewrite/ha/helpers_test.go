package ha

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// memory is a shared state in this process, by the rule and with faults.
type memory struct {
	failover time.Duration
	now      func() time.Time
	states   map[Key]memoryState

	asks  int
	fails bool // no question arrives
	loses bool // questions arrive, answers do not
}

type memoryState struct {
	view View
	at   time.Time
}

func (m *memory) state(k Key) View {
	s, ok := m.states[k]
	if !ok {
		return View{}
	}
	age := m.now().Sub(s.at)
	s.view.Age += age
	s.view.SeenAge += age
	return s.view
}

func (m *memory) Ask(_ context.Context, asks []Ask) ([]View, error) {
	m.asks++
	if m.fails {
		return nil, errors.New("connection refused")
	}
	var views []View
	for _, a := range asks {
		v := Decide(m.state(a.Key), a, m.failover)
		if v.Term > 0 {
			m.states[a.Key] = memoryState{v, m.now()}
		}
		views = append(views, v)
	}
	if m.loses {
		return nil, errors.New("i/o timeout")
	}
	return views, nil
}

// world is some receivers with one shared state and one clock.
type world struct {
	clock     time.Time
	config    Config
	shared    *memory
	receivers []*Tracker
}

func newWorld(receivers int) *world {
	w := &world{clock: time.Unix(1_790_000_000, 0), config: DefaultConfig()}
	now := func() time.Time { return w.clock }
	w.shared = &memory{failover: w.config.FailoverTimeout, now: now, states: map[Key]memoryState{}}
	for range receivers {
		w.receivers = append(w.receivers, New(w.config, Options{
			Shared: w.shared, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: now,
		}))
	}
	return w
}

func (w *world) pass(d time.Duration) { w.clock = w.clock.Add(d) }

// update lets the receivers exchange what they know.
func (w *world) update(t testing.TB) {
	for _, r := range w.receivers {
		r.update(t.Context())
	}
}

func (w *world) accepts(t testing.TB, receiver int, replica string) bool {
	t.Helper()
	ok, err := w.receivers[receiver].Accept(t.Context(), "acme", "prod", replica)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func (w *world) want(t testing.TB, receiver int, replica string, want bool) {
	t.Helper()
	if got := w.accepts(t, receiver, replica); got != want {
		t.Errorf("receiver %d takes replica %s: %v, want %v", receiver, replica, got, want)
	}
}
