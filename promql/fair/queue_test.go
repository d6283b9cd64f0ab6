package fair_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/promql/fair"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// of is whom a turn of one tenant counts for.
func of(tenant string, most int64) []fair.Count { return []fair.Count{{Tenant: tenant, Most: most}} }

// hold takes a turn for some time and returns how long it waited for it.
func hold(t *testing.T, q *fair.Queue, c fair.Claim, d time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	leave, err := q.Enter(t.Context(), c)
	if err != nil {
		t.Errorf("%+v: %v", c, err)
		return 0
	}
	waited := time.Since(begin)
	time.Sleep(d)
	leave()
	return waited
}

// flood has n reads of a claim wait, each for a second's turn.
func flood(t *testing.T, all *sync.WaitGroup, q *fair.Queue, c fair.Claim, n int) {
	for range n {
		all.Go(func() { hold(t, q, c, time.Second) })
	}
	synctest.Wait()
}

// TestOthersAreNotDelayed proves that a tenant with a thousand reads in the queue delays another one's by its turn only.
func TestOthersAreNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 1, MaxWaiting: 1000})
		var all sync.WaitGroup
		flood(t, &all, q, fair.Claim{Tenant: "loud"}, 1000)
		for i := range 5 {
			time.Sleep(10*time.Second + 500*time.Millisecond)
			// Half of a turn of the loud one is left, and the one in front of the ring may be its next.
			if waited := hold(t, q, fair.Claim{Tenant: "quiet"}, time.Second); waited > 1500*time.Millisecond {
				t.Errorf("read %d waited %v", i, waited)
			}
		}
		begin := time.Now()
		all.Wait()
		if left := time.Since(begin); left < 900*time.Second {
			t.Errorf("the loud one was through %v later: it did not wait", left)
		}
	})
}

// TestTenantsAreServedInTurn: of three tenants with many reads each has a third of the turns, whatever they came in.
func TestTenantsAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 2, MaxWaiting: 1000})
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []string
		for name, n := range map[string]int{"a": 300, "b": 40, "c": 90} {
			for range n {
				all.Go(func() {
					leave, err := q.Enter(t.Context(), fair.Claim{Tenant: name})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					time.Sleep(time.Second)
					leave()
				})
			}
		}
		all.Wait()
		seen := map[string]int{}
		for _, name := range order[:120] {
			seen[name]++
		}
		for name, n := range seen {
			if n < 38 || n > 42 {
				t.Errorf("of the first 120 turns %s had %d: %v", name, n, seen)
			}
		}
	})
}

// TestKeysAreServedInTurn proves the same of the keys of one tenant, and that one at its bound holds up no other.
func TestKeysAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 3, MaxWaiting: 1000})
		var all sync.WaitGroup
		flood(t, &all, q, fair.Claim{Tenant: "a", Key: "batch", KeyMost: 1}, 100)
		if waited := hold(t, q, fair.Claim{Tenant: "a", Key: "people"}, time.Second); waited != 0 {
			t.Errorf("another key waited %v although two turns are free", waited)
		}
		if waited := hold(t, q, fair.Claim{Tenant: "a"}, time.Second); waited != 0 {
			t.Errorf("a read without a key waited %v although two turns are free", waited)
		}
		all.Wait()
	})
}

// TestTenantAtItsBound: turns that one tenant may not have are free for others.
func TestTenantAtItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 3, MaxWaiting: 1000})
		var all sync.WaitGroup
		flood(t, &all, q, fair.Claim{Tenant: "a", Of: of("a", 2)}, 10)
		if waited := hold(t, q, fair.Claim{Tenant: "b"}, time.Second); waited != 0 {
			t.Errorf("another tenant waited %v although a turn is free", waited)
		}
		begin := time.Now()
		all.Wait()
		if left := time.Since(begin); left != 4*time.Second {
			t.Errorf("ten turns of a second, two at once, took %v more than the first", left)
		}
	})
}

// TestReadOfSeveral: a turn counts for each tenant that is read, under whatever names, and for its key.
func TestReadOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 100, MaxWaiting: 1000})
		a, b, c := fair.Count{Tenant: "a", Most: 1}, fair.Count{Tenant: "b", Most: 2}, fair.Count{Tenant: "c"}
		claim := func(of ...fair.Count) fair.Claim { return fair.Claim{Tenant: "home", Of: of} }
		begin := time.Now()
		var all sync.WaitGroup
		for _, one := range []fair.Claim{claim(a), claim(a, b), claim(a, c), claim(a, b, c)} {
			flood(t, &all, q, one, 3)
		}
		if waited := hold(t, q, claim(b, c), 0); waited != 0 {
			t.Errorf("a read of tenants with room waited %v behind those of one without", waited)
		}
		all.Wait()
		if took := time.Since(begin); took != 12*time.Second {
			t.Errorf("twelve reads of a second, each of a tenant that runs one at once, took %v", took)
		}
		begin = time.Now()
		for i := range 12 {
			flood(t, &all, q, fair.Claim{Tenant: fmt.Sprint(i % 4), Of: of(fmt.Sprint(i), 0), Key: "k", KeyMost: 3}, 1)
		}
		all.Wait()
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("twelve reads of a second by a key that runs three at once took %v", took)
		}
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		q := fair.New(fair.Options{Slots: 1, MaxWaiting: 3, Registerer: reg})
		var all sync.WaitGroup
		flood(t, &all, q, fair.Claim{Tenant: "a"}, 4)
		var full *fair.FullError
		if _, err := q.Enter(t.Context(), fair.Claim{Tenant: "a", Key: "another"}); !errors.As(err, &full) || full.Waiting != 3 || full.Overall || !strings.HasPrefix(err.Error(), "too many outstanding requests: 3 of the tenant") {
			t.Errorf("got %v", err)
		}
		for i := range 9 {
			flood(t, &all, q, fair.Claim{Tenant: fmt.Sprint(i)}, 3)
		}
		if _, err := q.Enter(t.Context(), fair.Claim{Tenant: "b"}); !errors.As(err, &full) || full.Waiting != 30 || !full.Overall {
			t.Errorf("got %v", err)
		}
		want := `
# HELP metricstream_query_queue_length Reads that wait for their turn, of all tenants.
# TYPE metricstream_query_queue_length gauge
metricstream_query_queue_length 30
# HELP metricstream_query_queue_refused_total Reads that got no turn: full (too many waited already), timeout (their time was over before), canceled (the client went away).
# TYPE metricstream_query_queue_refused_total counter
metricstream_query_queue_refused_total{reason="canceled"} 0
metricstream_query_queue_refused_total{reason="full"} 2
metricstream_query_queue_refused_total{reason="timeout"} 0
# HELP metricstream_query_queue_running Reads that have their turn; at most query.max_concurrency.
# TYPE metricstream_query_queue_running gauge
metricstream_query_queue_running 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "metricstream_query_queue_length", "metricstream_query_queue_refused_total", "metricstream_query_queue_running"); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Options{Slots: 1, MaxWaiting: 10})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		leave, err := q.Enter(ended, fair.Claim{Tenant: "a"})
		if err != nil {
			t.Fatalf("a turn that is free was refused: %v", err)
		}
		if _, err := q.Enter(ended, fair.Claim{Tenant: "a"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := q.Enter(short, fair.Claim{Tenant: "b"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		leave()
		if waited := hold(t, q, fair.Claim{Tenant: "c"}, 0); waited != 0 {
			t.Errorf("those who left were still in the way: waited %v", waited)
		}
	})
}

// crowd counts who has a turn.
type crowd struct {
	mu            sync.Mutex
	all           int
	tenants, keys map[string]int64
	most          int
}

func (c *crowd) add(t *testing.T, claim fair.Claim, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all += n
	c.most = max(c.most, c.all)
	c.keys[claim.Key] += int64(n)
	if claim.KeyMost > 0 && c.keys[claim.Key] > claim.KeyMost {
		t.Errorf("%d turns of the key of %+v", c.keys[claim.Key], claim)
	}
	for _, of := range claim.Of {
		c.tenants[of.Tenant] += int64(n)
		if of.Most > 0 && c.tenants[of.Tenant] > of.Most {
			t.Errorf("%d turns of %s: %+v", c.tenants[of.Tenant], of.Tenant, claim)
		}
	}
}

// TestRandomCrowds has random tenants with random bounds come and give up: no bound is ever passed, whoever does not give
// up has a turn in bounded time, and nothing is left in the end.
func TestRandomCrowds(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			slots, names := 1+rng.IntN(4), 1+rng.IntN(5)
			reg := prometheus.NewPedanticRegistry()
			q := fair.New(fair.Options{Slots: slots, MaxWaiting: 10_000, Registerer: reg})
			c := &crowd{tenants: map[string]int64{}, keys: map[string]int64{}}
			tenants := make([]fair.Count, names)
			for i := range tenants {
				tenants[i] = fair.Count{Tenant: fmt.Sprint("t", i), Most: int64(rng.IntN(3))}
			}
			keyMost := []int64{0, 1, 2}
			var all sync.WaitGroup
			const reads = 200
			for range reads {
				first := rng.IntN(names) * rng.IntN(2) // the first one floods
				end, key := first+1+rng.IntN(names-first), rng.IntN(3)
				claim := fair.Claim{Tenant: tenants[first].Tenant, Of: tenants[first:end], Key: fmt.Sprint("k", key), KeyMost: keyMost[key]}
				starts, gives, takes := time.Duration(rng.IntN(20))*time.Second, rng.IntN(4) == 0, time.Duration(rng.IntN(1000))*time.Millisecond
				patience := time.Duration(rng.IntN(30_000)) * time.Millisecond
				all.Go(func() {
					time.Sleep(starts)
					ctx := t.Context()
					if gives {
						short, cancel := context.WithTimeout(ctx, patience)
						defer cancel()
						ctx = short
					}
					begin := time.Now()
					leave, err := q.Enter(ctx, claim)
					if waited := time.Since(begin); waited > reads*time.Second || gives && waited > patience {
						t.Errorf("seed %d: %+v waited %v", seed, claim, waited)
					}
					if err != nil {
						if !gives {
							t.Errorf("seed %d: %+v: %v", seed, claim, err)
						}
						return
					}
					c.add(t, claim, 1)
					time.Sleep(takes)
					c.add(t, claim, -1)
					leave()
				})
			}
			all.Wait()
			if c.most > slots {
				t.Errorf("seed %d: %d turns at once, %d are the most", seed, c.most, slots)
			}
			for range slots {
				leave, err := q.Enter(t.Context(), fair.Claim{Tenant: "after"})
				if err != nil {
					t.Fatal(err)
				}
				defer leave()
			}
			if n := gauge(t, reg, "metricstream_query_queue_length"); n != 0 {
				t.Errorf("seed %d: %v wait in the end", seed, n)
			}
		})
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// BenchmarkEnter is what a turn costs: alone, and with a hundred tenants that wait because they are at their bounds.
func BenchmarkEnter(b *testing.B) {
	for _, tenants := range []int{0, 100} {
		b.Run(fmt.Sprintf("waiting=%d", tenants), func(b *testing.B) {
			q := fair.New(fair.Options{Slots: tenants + 1, MaxWaiting: 1000})
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for i := range tenants {
				c := fair.Claim{Tenant: fmt.Sprint(i), Of: of(fmt.Sprint(i), 1)}
				leave, err := q.Enter(ctx, c)
				if err != nil {
					b.Fatal(err)
				}
				defer leave()
				all.Go(func() { _, _ = q.Enter(ctx, c) })
			}
			b.ReportAllocs()
			for b.Loop() {
				leave, err := q.Enter(ctx, fair.Claim{Tenant: "a", Of: of("a", 0)})
				if err != nil {
					b.Fatal(err)
				}
				leave()
			}
			cancel()
			all.Wait()
		})
	}
}
