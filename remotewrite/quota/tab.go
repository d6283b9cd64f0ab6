package quota

import (
	"time"

	"github.com/metricstream/metricstream/tenant/limits"
)

// Verdict says which limit refuses something; empty is none.
type Verdict string

// The verdicts: the words are values of a metric's label.
const (
	Accepted       Verdict = ""
	OverSamples    Verdict = "samples_per_second"
	OverKeySamples Verdict = "key_samples_per_second"
	OverActive     Verdict = "active_series"
	OverNew        Verdict = "new_series_per_minute"
	OverKeyNew     Verdict = "key_new_series_per_minute"
	// OverTenants is that the use of one more tenant cannot be counted.
	OverTenants Verdict = "tenants"
)

// Tab is what one request draws on. It is used by one goroutine.
type Tab struct {
	ledger  *Ledger
	account *account
	active  int64 // limit on active series
	series  bool  // whether series are limited
	full    bool

	samples, keySamples     *bucket
	newSeries, keyNewSeries *bucket
	taken                   float64
}

// Open returns the tab of a request that is held to a grant.
func (l *Ledger) Open(g *limits.Grant) Tab {
	now := l.now()
	t := Tab{ledger: l, active: g.Limits.ActiveSeries}
	ok := true
	open := func(s Subject, r rate) *bucket {
		b, room := l.bucketOf(s, r, now)
		ok = ok && room
		return b
	}
	t.samples = open(Subject{Kind: Samples, Tenant: g.Tenant}, samplesRate(&g.Limits))
	t.newSeries = open(Subject{Kind: NewSeries, Tenant: g.Tenant}, newSeriesRate(&g.Limits))
	if g.Key != "" {
		t.keySamples = open(Subject{Kind: Samples, Key: g.Key}, samplesRate(&g.KeyLimits))
		t.keyNewSeries = open(Subject{Kind: NewSeries, Key: g.Key}, newSeriesRate(&g.KeyLimits))
	}
	t.series = t.active > 0 || t.newSeries != nil || t.keyNewSeries != nil
	if t.account = l.accountOf(g.Tenant, now); t.account != nil && t.series {
		l.track(t.account, now)
	}
	t.full = !ok || t.account == nil && (t.series || t.samples != nil || t.keySamples != nil)
	return t
}

// Exhausted says which limit leaves nothing for a request, whatever is in it.
func (t *Tab) Exhausted() Verdict {
	now := t.ledger.now()
	switch {
	case t.full:
		return OverTenants
	case t.samples != nil && t.samples.exhausted(now):
		return OverSamples
	case t.keySamples != nil && t.keySamples.exhausted(now):
		return OverKeySamples
	}
	return Accepted
}

// Take lets n samples through, or none.
func (t *Tab) Take(n int) Verdict {
	if n == 0 {
		return Accepted
	}
	now, amount := t.ledger.now(), float64(n)
	if t.keySamples != nil && !t.keySamples.take(amount, now) {
		return OverKeySamples
	}
	if t.samples != nil && !t.samples.take(amount, now) {
		if t.keySamples != nil {
			t.keySamples.giveBack(amount)
		}
		return OverSamples
	}
	t.taken = amount
	return Accepted
}

// Close ends the request: what was taken is given back where it was not written after all.
func (t *Tab) Close(written Written) {
	if written {
		if t.account != nil {
			t.account.samples.Add(int64(t.taken))
		}
		t.taken = 0
		return
	}
	for _, b := range []*bucket{t.samples, t.keySamples} {
		if b != nil && t.taken > 0 {
			b.giveBack(t.taken)
		}
	}
	t.taken = 0
}

// Written tells whether what was taken is durable.
type Written bool

// Admit decides about a series that the receiver does not remember, by its id. One that was seen within the last hour, by
// whichever receiver, is not refused.
func (t *Tab) Admit(id uint64) Verdict {
	if t.account == nil {
		return Accepted
	}
	if !t.series {
		t.account.fresh.Add(1)
		if slice := t.ledger.slice.Load(); t.account.series.tracked(slice) { // a limit was taken back, and may return
			t.account.series.mark(id, slice, tell)
		}
		return Accepted
	}
	return t.account.series.admit(id, t)
}

// takeNew lets a new series through where the rates have room for it.
func (t *Tab) takeNew(now time.Time) Verdict {
	if t.keyNewSeries != nil && !t.keyNewSeries.take(1, now) {
		return OverKeyNew
	}
	if t.newSeries != nil && !t.newSeries.take(1, now) {
		if t.keyNewSeries != nil {
			t.keyNewSeries.giveBack(1)
		}
		return OverNew
	}
	return Accepted
}
