package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/tenant/limits"
)

// load is what is offered to a receiver: requests of a size, so many samples a second.
type load struct {
	receiver  *receiver
	perSecond int
	size      int
}

// offer offers loads for a time, in steps of 10 ms, with a round of each receiver every second, at a moment of its own. It
// returns how many samples of each load were let through.
func offer(t *testing.T, c *clock, g *limits.Grant, d time.Duration, loads ...load) (sums []int, total int) {
	t.Helper()
	const step = 10 * time.Millisecond
	sums = make([]int, len(loads))
	owed := make([]float64, len(loads))
	for at := time.Duration(0); at < d; at += step {
		c.step(step)
		for i, o := range loads {
			if (at/step)%100 == time.Duration(i*37%100) {
				o.receiver.exchangeNow(t)
			}
			for owed[i] += float64(o.perSecond) * step.Seconds(); owed[i] >= float64(o.size); owed[i] -= float64(o.size) {
				if send(o.receiver.Ledger, g, o.size) == Accepted {
					sums[i] += o.size
					total += o.size
				}
			}
		}
	}
	return sums, total
}

// TestTwoReceiversShareALimit is a minute of 50,000 samples a second, for demands of all sorts, over a real Redis.
func TestTwoReceiversShareALimit(t *testing.T) {
	t.Parallel()
	address := testenv.StartRedis(t).Address
	c := newClock()
	a, b := newReceiver(t, c, address, "a"), newReceiver(t, c, address, "b")
	for name, loads := range map[string][]load{
		"alike":         {{a, 100_000, 2000}, {b, 100_000, 2000}},
		"one more":      {{a, 200_000, 2000}, {b, 40_000, 500}},
		"one little":    {{a, 200_000, 2000}, {b, 3_000, 100}},
		"one alone":     {{a, 200_000, 2000}, {b, 0, 1}},
		"just too much": {{a, 30_000, 1000}, {b, 30_000, 1000}},
		"large":         {{a, 100_000, 20_000}, {b, 100_000, 20_000}},
		"huge":          {{a, 100_000, 200_000}, {b, 100_000, 200_000}}, // waits until the bucket is full, and comes too late then
	} {
		g := perSecond(name, 50_000, 50_000)
		sums, total := offer(t, c, g, time.Minute, loads...)
		t.Logf("%s: %v, %.1f %% of the limit", name, sums, float64(total)/(50_000*60)*100)
		if total < 45_000*60 && name != "huge" || total > 55_000*60 {
			t.Errorf("%s: %d samples in a minute, want %d within 10 %%", name, total, 50_000*60)
		}
		for i, o := range loads {
			if o.perSecond > 10_000 && sums[i] < 4_000*60 {
				t.Errorf("%s: receiver %d is starved: %v", name, i, sums)
			}
		}
	}
	// A key has one limit, whichever receiver it writes to, and for whichever tenant.
	key := func(tenant string) *limits.Grant {
		return &limits.Grant{Tenant: tenant, Key: "k", KeyLimits: limits.Limits{SamplesPerSecond: 50_000, SamplesBurst: 50_000}}
	}
	ofKey := 0
	for i := range 60 {
		_, n := offer(t, c, key(fmt.Sprint("t", i%2)), time.Second, load{a, 100_000, 2000}, load{b, 100_000, 2000})
		ofKey += n
	}
	if ofKey < 45_000*60 || ofKey > 55_000*60 {
		t.Errorf("a key writes %d samples in a minute to two tenants, want %d within 10 %%", ofKey, 50_000*60)
	}
	// What is under the limit is hardly refused, wherever it comes: at the most until the next round.
	g := perSecond("enough", 50_000, 100_000)
	for i, loads := range [][]load{{{a, 40_000, 1000}, {b, 0, 1}}, {{a, 0, 1}, {b, 40_000, 1000}}, {{a, 20_000, 1000}, {b, 20_000, 1000}}} {
		if _, total := offer(t, c, g, 20*time.Second, loads...); total < 40_000*20-20_000 {
			t.Errorf("part %d: %d samples of %d were let through under the limit", i, total, 40_000*20)
		}
	}
}

// TestRedisComesAndGoes kills Redis under two receivers and lets it come back without data: what is let through is never
// twice the limit, and again the limit when it is back.
func TestRedisComesAndGoes(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	c := newClock()
	a, b := newReceiver(t, c, server.Address, "a"), newReceiver(t, c, server.Address, "b")
	g := perSecond("t", 50_000, 50_000)
	loads := []load{{a, 150_000, 2000}, {b, 100_000, 1000}}
	check := func(when string, d time.Duration, low, high float64) {
		t.Helper()
		sums, total := offer(t, c, g, d, loads...)
		of := float64(total) / (50_000 * d.Seconds())
		t.Logf("%s: %v, %.1f %% of the limit", when, sums, 100*of)
		if of < low || of > high || sums[0] == 0 || sums[1] == 0 {
			t.Errorf("%s: %v samples in %v, %.2f of the limit, want %v to %v", when, sums, d, of, low, high)
		}
	}
	check("with Redis", 20*time.Second, 0.9, 1.1)
	server.Kill()
	check("without", 30*time.Second, 0.5, 1.5)
	if !a.away.Load() || !b.away.Load() {
		t.Error("nobody has noticed that Redis is away")
	}
	late := newReceiver(t, c, server.Address, "late")
	send(late.Ledger, g, 50_000)
	server.Restart()
	// The client tries to connect once a second of real time, in which much of the other kind passes.
	for deadline := time.Now().Add(30 * time.Second); a.away.Load() || b.away.Load(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody has noticed that Redis is back")
		}
		offer(t, c, g, time.Second, loads...)
	}
	check("with a new Redis", 20*time.Second, 0.9, 1.1)
	// A receiver that is gone leaves its share to the others.
	loads = []load{{a, 150_000, 2000}, {a, 0, 1}}
	offer(t, c, g, 10*time.Second, loads...)
	if n := a.receivers.Load(); n != 1 {
		t.Errorf("%d receivers are thought of", n)
	}
	sums, _ := offer(t, c, g, 20*time.Second, loads...)
	if sums[0] < 45_000*20 {
		t.Errorf("the last receiver lets %d samples through in 20 s", sums[0])
	}
}

// TestOnlyTheNetworkWasAway: a Redis that was not reached for a while, and has kept what it knew, neither makes up for that
// time nor holds it against anybody.
func TestOnlyTheNetworkWasAway(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	c := newClock()
	a := newReceiver(t, c, server.Address, "a")
	g := perSecond("t", 1000, 10_000)
	offer(t, c, g, 30*time.Second, load{a, 5000, 100})
	away := a.shared
	a.shared = nowhere{}
	_, total := offer(t, c, g, 600*time.Second, load{a, 5000, 100})
	if total < 590_000 || total > 610_000 {
		t.Errorf("%d samples in 600 s without Redis", total)
	}
	a.shared = away
	if _, total = offer(t, c, g, 10*time.Second, load{a, 5000, 100}); total < 9_000 || total > 11_000 {
		t.Errorf("%d samples in the 10 s after", total)
	}
}

// TestClockOfRedisJumps: the clock of Redis' machine gives no more than a burst when it jumps, and stops nothing.
func TestClockOfRedisJumps(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := newReceiver(t, c, testenv.StartRedis(t).Address, "a").rates
	use := []Use{{Subject: Subject{Samples, "t", ""}, PerSecond: 100, Burst: 1000, Whole: 1000, Demand: 50}}
	at, g := c.now.UnixMilli(), rand.New(rand.NewPCG(1, 2))
	spent := 0.0
	for i := range 200 {
		switch i {
		case 50:
			at -= 1000 * 86_400 * 30
		case 120:
			at += 1000 * 86_400 * 60
		}
		at += 1000
		r.nowMs = at
		use[0].Spent = float64(g.IntN(100))
		spent += use[0].Spent
		leases, n, err := r.Exchange(t.Context(), use, false)
		if err != nil || n != 1 || leases[0].Share != 1 || leases[0].Tokens > 1000 || leases[0].Tokens < 0 {
			t.Fatalf("exchange %d: %+v of %d, %v", i, leases, n, err)
		}
	}
}
