package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/metricstream/metricstream/tenant/limits"
)

// TestBurstAndRate: a burst comes through at once, then as much as the rate gives, and the rest is refused.
func TestBurstAndRate(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	g := perSecond("a", 100, 1000)
	for i := range 10 {
		if v := send(l, g, 100); v != Accepted {
			t.Fatalf("request %d of the burst: %s", i, v)
		}
	}
	if v := send(l, g, 1); v != OverSamples {
		t.Errorf("beyond the burst: %q", v)
	}
	accepted := 0
	for range 600 {
		c.step(100 * time.Millisecond)
		if send(l, g, 35) == Accepted {
			accepted += 35
		}
	}
	if accepted < 5900 || accepted > 6000 {
		t.Errorf("%d samples in a minute at 100 a second", accepted)
	}
	if v := send(l, perSecond("b", 100, 1000), 1000); v != Accepted {
		t.Errorf("another tenant: %q", v)
	}
}

// TestLargerThanTheBurst: a request that is larger than the whole burst is let through when the bucket is full, and paid
// for afterwards, before it is looked at again.
func TestLargerThanTheBurst(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	g := perSecond("a", 100, 200)
	if v := send(l, g, 1000); v != Accepted {
		t.Fatalf("refused: %s", v)
	}
	c.step(7 * time.Second)
	if tab := l.Open(g); tab.Exhausted() != OverSamples {
		t.Error("the debt is forgotten")
	}
	if v := send(l, g, 1000); v != OverSamples {
		t.Errorf("while in debt: %q", v)
	}
	c.step(2 * time.Second)
	if v := send(l, g, 50); v != Accepted {
		t.Errorf("after the debt: %q", v)
	}
	if v := send(l, g, 1000); v != OverSamples {
		t.Errorf("a large one before the bucket is full: %q", v)
	}
	c.step(2 * time.Second)
	if v := send(l, g, 1000); v != Accepted {
		t.Errorf("when the bucket is full again: %q", v)
	}
}

// TestKeyBesideTenant: both limits count, and what one refuses does not count for the other.
func TestKeyBesideTenant(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	g := perSecond("a", 100, 1000)
	g.Key, g.KeyLimits = "k", limits.Limits{SamplesPerSecond: 10, SamplesBurst: 100}
	if v := send(l, g, 100); v != Accepted {
		t.Fatal(v)
	}
	if v := send(l, g, 100); v != OverKeySamples {
		t.Errorf("the key: %q", v)
	}
	other := perSecond("a", 100, 1000)
	if v := send(l, other, 900); v != Accepted {
		t.Errorf("the rest of the tenant's burst: %q", v)
	}
	c.step(10 * time.Second / 2)
	if v := send(l, other, 500); v != Accepted {
		t.Errorf("half of it again: %q", v)
	}
	if v := send(l, g, 50); v != OverSamples {
		t.Errorf("the tenant: %q", v)
	}
	c.step(time.Second / 2)
	if v := send(l, g, 50); v != Accepted {
		t.Errorf("what the tenant refused counts for the key: %q", v)
	}
}

// TestKeyOfSeveralTenants: a key's limits hold over all tenants that it writes for.
func TestKeyOfSeveralTenants(t *testing.T) {
	l := newLedger(newClock(), Options{})
	accepted, admitted := 0, 0
	for i := range 20 {
		g := &limits.Grant{Tenant: fmt.Sprint("t", i%4), Key: "k", KeyLimits: limits.Limits{SamplesPerSecond: 1, SamplesBurst: 100, NewSeriesPerMinute: 6}}
		if send(l, g, 10) == Accepted {
			accepted += 10
		}
		if tab := l.Open(g); tab.Admit(uint64(i)) == Accepted {
			admitted++
		}
	}
	if accepted != 100 || admitted != 6 {
		t.Errorf("a key that may write 100 samples and 6 new series has written %d and %d to four tenants", accepted, admitted)
	}
	if v := send(l, &limits.Grant{Tenant: "t0"}, 1000); v != Accepted {
		t.Errorf("a tenant without the key: %q", v)
	}
}

// TestNotWritten: what was not written after all is not counted.
func TestNotWritten(t *testing.T) {
	l := newLedger(newClock(), Options{})
	g := perSecond("a", 100, 1000)
	for range 5 {
		tab := l.Open(g)
		if v := tab.Take(1000); v != Accepted {
			t.Fatal(v)
		}
		tab.Close(false)
	}
	if v := send(l, g, 1000); v != Accepted {
		t.Error(v)
	}
}

// TestLimitChanges: a limit that is raised, lowered, removed or set counts with the next request.
func TestLimitChanges(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	if v := send(l, perSecond("a", 100, 100), 100); v != Accepted {
		t.Fatal(v)
	}
	c.step(time.Second / 10)
	if v := send(l, perSecond("a", 10_000, 10_000), 100); v != OverSamples {
		t.Errorf("a higher limit gives what has not come yet: %q", v)
	}
	c.step(time.Second)
	if v := send(l, perSecond("a", 10_000, 10_000), 10_000); v != Accepted {
		t.Errorf("raised: %q", v)
	}
	c.step(time.Second)
	if v := send(l, perSecond("a", 10, 10), 10); v != Accepted {
		t.Errorf("lowered: %q", v)
	}
	if v := send(l, perSecond("a", 10, 10), 10); v != OverSamples {
		t.Errorf("lowered, beyond: %q", v)
	}
	for range 100 {
		if v := send(l, perSecond("a", 0, 0), 1_000_000); v != Accepted {
			t.Fatalf("removed: %q", v)
		}
	}
	// A debt is paid as soon under a lower limit.
	send(l, perSecond("b", 1000, 1000), 3000)
	send(l, perSecond("b", 10, 10), 1)
	c.step(2100 * time.Millisecond)
	if v := send(l, perSecond("b", 10, 10), 1); v != Accepted {
		t.Errorf("after the time that the debt would have taken: %q", v)
	}
}

// TestClockJumps: a clock that is set back stops nothing, one that is set forward gives one burst.
func TestClockJumps(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	g := perSecond("a", 100, 1000)
	send(l, g, 1000)
	c.step(-24 * time.Hour)
	if v := send(l, g, 100); v != OverSamples {
		t.Errorf("a clock that was set back gives samples: %q", v)
	}
	c.step(time.Second)
	if v := send(l, g, 100); v != Accepted {
		t.Errorf("after a clock that was set back: %q", v)
	}
	c.step(365 * 24 * time.Hour)
	if v := send(l, g, 1000); v != Accepted {
		t.Errorf("after a clock that was set forward: %q", v)
	}
	if v := send(l, g, 100); v != OverSamples {
		t.Errorf("a clock that was set forward gives more than a burst: %q", v)
	}
	l.round(t.Context())
}

// TestTenantsVanish: what is idle is forgotten, what is owed is not, and there is an end to how many are known.
func TestTenantsVanish(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	for i := range 1000 {
		send(l, perSecond(fmt.Sprint("t", i), 10, 100), 100)
	}
	send(l, perSecond("debtor", 1, 10), 100_000)
	for range 12 * 60 {
		c.step(time.Second)
		l.round(t.Context())
	}
	if len(l.buckets) != 1 || len(l.accounts) != 0 {
		t.Errorf("%d limits and %d tenants are remembered", len(l.buckets), len(l.accounts))
	}
	if v := send(l, perSecond("debtor", 1, 10), 1); v != OverSamples {
		t.Errorf("the debtor: %q", v)
	}
	for i := range maxTenants + 10 {
		l.Open(&limits.Grant{Tenant: fmt.Sprint("u", i)})
	}
	if n := len(l.accounts); n != maxTenants {
		t.Errorf("%d tenants are known", n)
	}
	if v := send(l, perSecond("one more", 10, 100), 1); v != OverTenants {
		t.Errorf("one more tenant with a limit: %q", v)
	}
	if v := send(l, perSecond("one more", 0, 0), 1); v != Accepted {
		t.Errorf("one more tenant without: %q", v)
	}
}

// TestStats: the rates are those of the last minute, more or less.
func TestStats(t *testing.T) {
	c := newClock()
	l := newLedger(c, Options{})
	g := &limits.Grant{Tenant: "a"}
	for i := range 60 {
		send(l, g, 500)
		tab := l.Open(g)
		tab.Admit(uint64(i))
		c.step(time.Second)
		l.round(t.Context())
	}
	if s := l.Stats("a"); s.SamplesPerSecond < 495 || s.SamplesPerSecond > 505 || s.NewSeriesPerSecond < 0.9 || s.NewSeriesPerSecond > 1.1 || s.ActiveSeries != -1 {
		t.Errorf("%+v", s)
	}
	if s := l.Stats("nobody"); s != (Stats{ActiveSeries: -1}) {
		t.Errorf("%+v", s)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := newLedger(newClock(), Options{})
	g := perSecond("a", 1_000_000_000, 0)
	g.Key, g.KeyLimits = "k", g.Limits
	g.Limits.ActiveSeries = 10
	send(l, g, 1)
	if n := testing.AllocsPerRun(100, func() { send(l, g, 1) }); n > 0 {
		t.Errorf("%v allocations for a request", n)
	}
}
