package quota

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/tenant/limits"
)

// cache stands for the series that a receiver remembers: nobody asks about them.
type cache map[uint64]time.Time

func (c cache) used(sinceMs int64, yield func(string, uint64)) {
	for id, at := range c {
		if at.UnixMilli() >= sinceMs {
			yield("t", id)
		}
	}
}

// sendSeries offers series from first on, as requests do: only those that the cache does not have are asked about. It
// returns how many were let through.
func sendSeries(l *Ledger, c cache, g *limits.Grant, first, n int) (admitted int) {
	tab := l.Open(g)
	for i := first; i < first+n; i++ {
		id := uint64(i) * 0x9e3779b97f4a7c15
		if _, ok := c[id]; ok || tab.Admit(id) == Accepted {
			c[id] = l.now()
			admitted++
		}
	}
	return admitted
}

func activeSeries(n int64) *limits.Grant {
	return &limits.Grant{Tenant: "t", Limits: limits.Limits{ActiveSeries: n}}
}

func TestActiveSeries(t *testing.T) {
	c := newClock()
	l, has := newLedger(c, Options{}), cache{}
	l.Watch(has.used)
	g := activeSeries(100)
	if n := sendSeries(l, has, g, 0, 150); n != 100 {
		t.Fatalf("%d of 150 series, want 100", n)
	}
	if n := sendSeries(l, has, g, 0, 150); n != 100 {
		t.Errorf("%d of the same series", n)
	}
	if n := sendSeries(l, has, activeSeries(120), 0, 150); n != 120 {
		t.Errorf("%d with a limit of 120", n)
	}
	if n := sendSeries(l, has, activeSeries(50), 0, 150); n != 120 {
		t.Errorf("%d known ones after the limit was lowered", n)
	}
	clear(has)
	if n := sendSeries(l, has, g, 0, 150); n != 120 {
		t.Errorf("%d known ones that the cache has forgotten", n)
	}
	// Half of them go on, for hours; after that there is room for as many others, and no sooner.
	for minute := range 150 {
		c.step(time.Minute)
		sendSeries(l, has, g, 0, 50)
		l.round(t.Context())
		if minute < 59 {
			if n := sendSeries(l, has, g, 1000, 10); n != 0 {
				t.Fatalf("%d others after %d minutes", n, minute+1)
			}
		}
	}
	if s := l.Stats("t"); s.ActiveSeries != 50 {
		t.Errorf("%d are active, want 50", s.ActiveSeries)
	}
	clear(has)
	if n := sendSeries(l, has, g, 0, 50); n != 50 {
		t.Errorf("%d of those that went on", n)
	}
	if n := sendSeries(l, has, g, 2000, 100); n != 50 {
		t.Errorf("%d others, want 50", n)
	}
}

// TestLimitOnKnownSeries: a limit that is set later finds the series that are there.
func TestLimitOnKnownSeries(t *testing.T) {
	c := newClock()
	l, has := newLedger(c, Options{}), cache{}
	l.Watch(has.used)
	if n := sendSeries(l, has, activeSeries(0), 0, 200); n != 200 {
		t.Fatalf("%d without a limit", n)
	}
	c.step(time.Second)
	sendSeries(l, has, activeSeries(100), 0, 200)
	l.round(t.Context())
	if n := sendSeries(l, has, activeSeries(100), 0, 210); n != 200 {
		t.Errorf("%d with a limit of 100 on the 200 that are known", n)
	}
	if s := l.Stats("t"); s.ActiveSeries != 200 {
		t.Errorf("%d are active", s.ActiveSeries)
	}
	if n := sendSeries(l, has, activeSeries(0), 200, 100); n != 100 {
		t.Errorf("%d new ones without a limit", n)
	}
	if n := sendSeries(l, cache{}, activeSeries(100), 0, 400); n != 300 {
		t.Errorf("%d with the limit that is back on 300 that are known", n)
	}
}

func TestNewSeries(t *testing.T) {
	c := newClock()
	l, has := newLedger(c, Options{}), cache{}
	g := &limits.Grant{Tenant: "t", Limits: limits.Limits{NewSeriesPerMinute: 60}}
	if n := sendSeries(l, has, g, 0, 100); n != 60 {
		t.Errorf("%d at once", n)
	}
	c.step(10 * time.Second)
	if n := sendSeries(l, has, g, 0, 100); n != 70 {
		t.Errorf("%d after 10 s", n)
	}
	g.Key, g.KeyLimits.NewSeriesPerMinute = "k", 6
	c.step(20 * time.Second)
	if n := sendSeries(l, has, g, 0, 100); n != 76 {
		t.Errorf("%d after 20 s, with a key of its own limit", n)
	}
	g.Key = ""
	if n := sendSeries(l, has, g, 0, 100); n != 90 {
		t.Errorf("%d without the key", n)
	}
}

// TestClockJumpsOverSlices: series stay known when the clock is set forward or back, and are not kept for ever.
func TestClockJumpsOverSlices(t *testing.T) {
	c := newClock()
	l, has := newLedger(c, Options{}), cache{}
	l.Watch(has.used)
	g := activeSeries(100)
	run := func(minutes int) {
		for range minutes {
			c.step(time.Minute)
			sendSeries(l, has, g, 0, 100)
			l.round(t.Context())
		}
	}
	run(10)
	for _, jump := range []time.Duration{24 * time.Hour, -48 * time.Hour} {
		sendSeries(l, has, g, 0, 100)
		c.step(jump)
		run(70)
		if n := sendSeries(l, cache{}, g, 0, 100); n != 100 {
			t.Errorf("%d series are known after a jump of %v", n, jump)
		}
	}
	clear(has)
	for range 140 {
		c.step(time.Minute)
		l.Open(g)
		l.round(t.Context())
	}
	if s := l.Stats("t"); s.ActiveSeries != 0 {
		t.Errorf("%d are active though nobody sends", s.ActiveSeries)
	}
}

// TestReceiversShareSeries: what one receiver has seen the other one knows; one that comes back knows all at once, and a
// tenant at its limit keeps its series.
func TestReceiversShareSeries(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	c := newClock()
	a, b := newReceiver(t, c, server.Address, "a"), newReceiver(t, c, server.Address, "b")
	hasA, hasB := cache{}, cache{}
	a.Watch(hasA.used)
	b.Watch(hasB.used)
	round := func() {
		c.step(time.Second)
		a.exchangeNow(t)
		b.exchangeNow(t)
		a.exchangeNow(t)
	}
	g := activeSeries(20_000)
	sendSeries(a.Ledger, hasA, g, 0, 12_000)
	round()
	if n := sendSeries(b.Ledger, hasB, g, 10_000, 12_000); n != 10_000 {
		t.Errorf("the other receiver lets %d of 12,000 through, of which 2,000 are known and 8,000 are free", n)
	}
	round()
	for minute := range 100 { // steady series, which nobody asks about
		c.step(time.Minute)
		sendSeries(a.Ledger, hasA, g, 0, 12_000)
		sendSeries(b.Ledger, hasB, g, 10_000, 10_000)
		a.exchangeNow(t)
		b.exchangeNow(t)
		if n := a.Stats("t").ActiveSeries; n != 20_000 {
			t.Fatalf("%d series after %d minutes", n, minute)
		}
	}
	again := newReceiver(t, c, server.Address, "again")
	again.rates.nowMs = c.now.UnixMilli()
	again.Load(t.Context())
	if n := sendSeries(again.Ledger, cache{}, g, 19_000, 2_000); n != 1_000 {
		t.Errorf("a receiver that comes back lets %d through, of which 1,000 are known", n)
	}
	if n := sendSeries(again.Ledger, cache{}, g, 0, 20_000); n != 20_000 {
		t.Errorf("a receiver that comes back lets %d of the 20,000 known ones through", n)
	}
	// Redis loses all of it, and is told again.
	server.Kill()
	round()
	if n := sendSeries(a.Ledger, hasA, activeSeries(20_010), 30_000, 100); n != 10 {
		t.Errorf("%d of 10 without Redis", n)
	}
	server.Restart()
	round()
	round()
	third := newReceiver(t, c, server.Address, "third")
	third.rates.nowMs = c.now.UnixMilli()
	third.Load(t.Context())
	if n := third.accounts["t"]; n == nil || n.series.len() != 20_010 {
		t.Errorf("after Redis came back without data it is told of %+v", n)
	}
}

// TestSeriesOverARestart is the same without Redis.
func TestSeriesOverARestart(t *testing.T) {
	c := newClock()
	dir := filepath.Join(t.TempDir(), "limits")
	open := func() *Ledger {
		l := newLedger(c, Options{Journal: NewFiles(dir)})
		l.Load(t.Context())
		return l
	}
	l, has := open(), cache{}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Error("files are written though nothing is limited")
	}
	l.Watch(has.used)
	g := activeSeries(100)
	sendSeries(l, has, g, 0, 100)
	for range 200 {
		c.step(time.Minute)
		sendSeries(l, has, g, 0, 100)
		l.round(t.Context())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 1 || len(files) > keptSlices+3 {
		t.Errorf("%q, %v", files, err)
	}
	// The process was killed while it wrote.
	last := slices.Max(files)
	f, err := os.OpenFile(last, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(appendRecord(nil, "t", []uint64{1, 2, 3})[:20]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = open()
	if n := sendSeries(l, cache{}, g, 50, 100); n != 50 {
		t.Errorf("%d of 100 series after a restart, of which 50 are known", n)
	}
	l.round(t.Context())
	if n := sendSeries(open(), cache{}, g, 0, 100); n != 100 {
		t.Errorf("%d known series after another one", n)
	}
}
