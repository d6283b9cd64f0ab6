package quota

import (
	"sync/atomic"
	"time"
)

// account is what is known of a tenant's use here, limited or not.
type account struct {
	// samples and fresh count what came since the rates were last taken: samples, and series that were not known.
	samples, fresh atomic.Int64

	// rates are samples and new series a second, of late.
	rates atomic.Pointer[rates]

	usedMs atomic.Int64
	series seriesSet
}

type rates struct{ samples, fresh float64 }

// accountOf returns the account of a tenant; nil where there is no room for one more.
func (l *Ledger) accountOf(id string, now time.Time) *account {
	l.mu.RLock()
	a := l.accounts[id]
	l.mu.RUnlock()
	if a == nil {
		a = l.openAccount(id, now)
	}
	if ms := now.UnixMilli(); a != nil && ms-a.usedMs.Load() > 1000 {
		a.usedMs.Store(ms)
	}
	return a
}

func (l *Ledger) openAccount(id string, now time.Time) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[id]; a != nil {
		return a
	}
	if !l.room(len(l.accounts), now) {
		return nil
	}
	a := &account{}
	a.rates.Store(&rates{})
	a.usedMs.Store(now.UnixMilli())
	l.accounts[id] = a
	return a
}

// idle reports whether the account says nothing any more.
func (a *account) idle(now time.Time) bool {
	silent := now.UnixMilli() - a.usedMs.Load()
	return (silent > 10*forgetAfter.Milliseconds() || silent < 0) && a.series.len() == 0
}

const (
	// rateInterval is how often rates are taken, and rateWeight how much the newest one counts: a minute, more or less.
	rateInterval = 5 * time.Second
	rateWeight   = 0.2
)

// takeRates takes the rates of all accounts where it is time to.
func (l *Ledger) takeRates(now time.Time) {
	dt := now.Sub(l.rated)
	if dt >= 0 && dt < rateInterval {
		return
	}
	l.rated = now
	seconds := max(dt, rateInterval).Seconds()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, a := range l.accounts {
		old := a.rates.Load()
		a.rates.Store(&rates{
			samples: smooth(old.samples, float64(a.samples.Swap(0))/seconds),
			fresh:   smooth(old.fresh, float64(a.fresh.Swap(0))/seconds),
		})
	}
}

func smooth(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return old + rateWeight*(now-old)
}

// Stats is what is known of a tenant's use.
type Stats struct {
	// SamplesPerSecond is what was written through this receiver, NewSeriesPerSecond what it did not know before.
	SamplesPerSecond, NewSeriesPerSecond float64

	// ActiveSeries are those seen by all receivers within the last hour; -1 where they are not counted because they are
	// not limited.
	ActiveSeries int
}

// Stats returns what is known of a tenant.
func (l *Ledger) Stats(tenant string) Stats {
	l.mu.RLock()
	a := l.accounts[tenant]
	l.mu.RUnlock()
	if a == nil {
		return Stats{ActiveSeries: -1}
	}
	r := a.rates.Load()
	s := Stats{SamplesPerSecond: r.samples, NewSeriesPerSecond: r.fresh, ActiveSeries: -1}
	if a.series.tracked(l.slice.Load()) {
		s.ActiveSeries = a.series.len()
	}
	return s
}
