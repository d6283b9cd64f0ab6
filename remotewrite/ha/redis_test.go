package ha

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/redis"
)

func newRedis(t *testing.T, address string, failover time.Duration) *Redis {
	t.Helper()
	c := redis.DefaultConfig()
	c.Address = address
	client := redis.New(c)
	t.Cleanup(func() { client.Close() })
	return NewRedis(client, failover)
}

// TestScriptIsTheRule asks the script in a real Redis, and the rule, the same thousands of random questions.
func TestScriptIsTheRule(t *testing.T) {
	const failover = 30 * time.Second
	r := newRedis(t, testenv.StartRedis(t).Address, failover)
	clock := time.UnixMilli(1_790_000_000_000)
	rule := &memory{failover: failover, now: func() time.Time { return clock }, states: map[Key]memoryState{}}
	g := rand.New(rand.NewPCG(1, 2))
	someone := func() string { return []string{"", "a", "b", "ж \x00\xff"}[g.IntN(4)] }
	age := func() time.Duration { return time.Duration(g.IntN(40_000)) * time.Millisecond }
	for range 3000 {
		clock = clock.Add(time.Duration(g.IntN(12_000)) * time.Millisecond)
		r.nowMs = clock.UnixMilli()
		var asks []Ask
		for range g.IntN(4) {
			a := Ask{Key: Key{"acme", []string{"prod", "test/1"}[g.IntN(2)]}, Candidate: someone()}
			if g.IntN(2) == 0 {
				a.Mine = rule.state(a.Key)
			}
			if g.IntN(20) == 0 {
				a.Mine = View{Replica: "c", Term: a.Mine.Term + int64(g.IntN(3)), Age: age(), SeenAge: age()}
			}
			asks = append(asks, a)
		}
		want, _ := rule.Ask(t.Context(), asks)
		got, err := r.Ask(t.Context(), asks)
		if err != nil {
			t.Fatal(err)
		}
		if len(want)+len(got) > 0 {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("asked %+v: (-rule +script)\n%s", asks, diff)
			}
		}
	}
}

// TestRedisComesAndGoes runs two receivers on a real Redis that is killed and comes back without data: writes are
// taken throughout, from one replica.
func TestRedisComesAndGoes(t *testing.T) {
	server := testenv.StartRedis(t)
	config := DefaultConfig()
	clock := time.Now()
	var receivers []*Tracker
	for range 2 {
		receivers = append(receivers, New(config, Options{
			Shared: newRedis(t, server.Address, config.FailoverTimeout), Logger: slog.New(slog.DiscardHandler),
			Registerer: prometheus.NewRegistry(), Now: func() time.Time { return clock },
		}))
	}
	want := func(when string, replica string, want bool) {
		t.Helper()
		for i, r := range receivers {
			if got, err := r.Accept(t.Context(), "acme", "prod", replica); err != nil || got != want {
				t.Errorf("%s: receiver %d takes %s: %v, %v, want %v", when, i, replica, got, err, want)
			}
		}
	}
	update := func() {
		for _, r := range receivers {
			r.update(t.Context())
		}
	}
	want("first", "a", true)
	want("first", "b", false)
	server.Kill()
	update()
	want("without Redis", "a", true)
	want("without Redis", "b", false)
	server.Restart()
	update()
	want("with a new Redis", "a", true)
	want("with a new Redis", "b", false)
	late := New(config, Options{Shared: newRedis(t, server.Address, config.FailoverTimeout), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if ok, err := late.Accept(t.Context(), "acme", "prod", "b"); ok || err != nil {
		t.Errorf("a receiver that came later takes b: %v, %v", ok, err)
	}
	if states := late.States("acme"); len(states) != 1 || states[0].Replica != "a" {
		t.Errorf("the receiver that came later knows %+v", states)
	}
}
