package breaker

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/metricstream/metricstream/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// process is one with two dependencies, on a Redis whose time is the test's.
type process struct {
	*Shared
	t        *testing.T
	db, logs *Breaker
}

func newProcess(t *testing.T, address, name string) *process {
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	p := &process{t: t}
	for name, b := range map[string]**Breaker{"db": &p.db, "logs": &p.logs} {
		*b = New(name, Options{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	}
	p.Shared = NewShared(client, name, []*Breaker{p.db, p.logs})
	p.nowMs = 1_790_000_000_000
	return p
}

func (p *process) call(b *Breaker, answer error) error {
	return b.Do(p.t.Context(), func() error { return answer })
}

// hears exchanges, and checks what a process then knows of the others' db.
func (p *process) hears(when, want string) {
	p.t.Helper()
	err := p.exchange(p.t.Context())
	got := "nothing"
	if o := p.db.Status().Others; o != nil {
		got = fmt.Sprint(o.Open, " open, ", o.Up, " up")
	}
	if got != want {
		p.t.Errorf("%s: %s hears of %s, want %s (%v)", when, p.process, got, want, err)
	}
}

func (p *process) tell() {
	p.t.Helper()
	if err := p.exchange(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// opensAfter reports whether so many calls that fail open the breaker.
func opensAfter(p *process, calls int) bool {
	for range calls {
		p.call(p.db, errAway)
	}
	return p.db.Status().State == "open"
}

// TestShared warns processes of what others have found, over a real Redis that is killed and comes back without data.
func TestShared(t *testing.T) {
	server := testenv.StartRedis(t)
	start := func(name string) *process { return newProcess(t, server.Address, name) }
	sick, idle, busy := start("sick"), start("idle"), start("busy")
	if !opensAfter(sick, failures) {
		t.Fatal("the breaker is closed")
	}
	sick.tell()
	idle.hears("one has found it away", "1 open, 0 up")
	if o := idle.logs.Status().Others; *o != (Others{}) {
		t.Errorf("of the other dependency it hears %+v", o)
	}

	// One call at a time finds out, and the others are refused at once.
	var open *Open
	err := idle.db.Do(t.Context(), func() error {
		if err := idle.call(idle.db, nil); !errors.As(err, &open) {
			t.Errorf("a second call was let through: %v", err)
		}
		if err := idle.call(idle.logs, nil); err != nil {
			t.Errorf("the other dependency: %v", err)
		}
		return errAway
	})
	if err != errAway || idle.db.Status().State != "open" {
		t.Errorf("a failure after a warning: %v, %+v", err, idle.db.Status())
	}
	busy.call(busy.db, nil)
	busy.hears("it has an answer of its own", "1 open, 0 up")
	if opensAfter(busy, failures-1) {
		t.Error("few failures open the breaker of a process that was answered just now")
	}
	busy.call(busy.db, nil)

	// One that is answered is heard too: then it is not the dependency that is away.
	late := start("late")
	late.hears("some have answers", "1 open, 1 up")
	if opensAfter(late, failures-1) {
		t.Error("few failures open a breaker although others have answers")
	}
	late = start("late")
	late.hears("before Redis went", "1 open, 1 up")
	server.Kill()
	late.hears("without Redis", "nothing")
	if opensAfter(late, failures-1) || !opensAfter(late, 1) {
		t.Error("without Redis it is not as without others")
	}
	sick.hears("without Redis", "nothing")
	server.Restart()
	sick.tell()
	idle.hears("with a new Redis", "1 open, 0 up")
	for _, p := range []*process{idle, late} {
		p.nowMs += wordCounts.Milliseconds() + 1
	}
	idle.hears("after a while of silence", "0 open, 0 up")
	late.hears("who goes on", "1 open, 0 up")
}

// TestWarningEnds: one answer is enough to let all calls through again.
func TestWarningEnds(t *testing.T) {
	server := testenv.StartRedis(t)
	sick, idle := newProcess(t, server.Address, "sick"), newProcess(t, server.Address, "idle")
	opensAfter(sick, failures)
	sick.tell()
	idle.tell()
	idle.call(idle.db, nil)
	err := idle.db.Do(t.Context(), func() error { return idle.call(idle.db, nil) })
	if err != nil {
		t.Error(err)
	}
	idle.tell()
	sick.hears("it is there for another", "0 open, 1 up")
	if s := sick.db.Status(); s.State != "open" || time.Since(s.Since) > time.Minute {
		t.Errorf("the others' word closed a breaker: %+v", s)
	}
}
