package quota

import (
	"sync"
	"time"
)

// rate is a limit on a flow: so much a second on average, and burst at once.
type rate struct{ perSecond, burst float64 }

// bucket holds what one subject may still spend here. It is a receiver's share of a bucket that all receivers fill and
// empty together; where there is one receiver, its share is 1. It may go below zero: what is larger than the whole burst
// is let through when the bucket is full, or it never would be, and is paid back.
type bucket struct {
	mu     sync.Mutex
	rate   rate
	share  float64
	tokens float64
	at     time.Time // of tokens
	used   time.Time // when somebody last wanted something

	// spent and offered count since the last report: what was let through, and that with what was not.
	spent, offered float64
	reported       time.Time
	demand         float64 // what is offered in a second, of late
	typical        float64 // the size of what is asked for at once
}

func newBucket(r rate, share float64, now time.Time) *bucket {
	return &bucket{rate: r, share: share, tokens: r.burst * share, at: now, used: now, reported: now}
}

// fill adds what has come since the last time. A clock that was set back adds nothing, one that was set forward no more
// than a burst.
func (b *bucket) fill(now time.Time) {
	if dt := now.Sub(b.at).Seconds(); dt > 0 {
		b.tokens = min(b.burst(), b.tokens+dt*b.rate.perSecond*b.share)
	}
	b.at = now
}

func (b *bucket) burst() float64 { return b.rate.burst * b.share }

// limitTo takes over a limit that may have changed. A debt under a lower limit takes as long to pay as it did.
func (b *bucket) limitTo(r rate, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == r {
		return
	}
	b.fill(now)
	if b.tokens < 0 && r.perSecond < b.rate.perSecond {
		b.tokens *= r.perSecond / b.rate.perSecond
	}
	b.rate = r
	b.tokens = min(b.tokens, b.burst())
}

// exhausted reports whether nothing can be let through, whatever its size. It counts as an offer where it is so.
func (b *bucket) exhausted(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.used = now
	if b.tokens >= min(1, b.burst()) {
		return false
	}
	b.offered += b.typical
	return true
}

// take lets n through where there is as much, or where the bucket is full.
func (b *bucket) take(n float64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.used = now
	b.offered += n
	b.typical += (n - b.typical) / 8
	if b.tokens < min(n, b.burst()) {
		return false
	}
	b.tokens -= n
	b.spent += n
	return true
}

// giveBack undoes a take of what was not used after all.
func (b *bucket) giveBack(n float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+n, b.burst())
	b.spent -= n
	b.offered -= n
}

// report returns what all receivers are to know, and begins to count anew. Demand rises at once and falls slowly, and is
// never more than the limit: senders that come again and again do not want more because of it.
func (b *bucket) report(now time.Time) Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	dt := max(now.Sub(b.reported).Seconds(), minInterval.Seconds())
	b.demand = max(b.offered/dt, b.demand/2+b.offered/dt/2)
	u := Use{
		PerSecond: b.rate.perSecond, Burst: b.rate.burst, Spent: b.spent, Demand: min(b.demand, b.rate.perSecond),
		Whole: b.tokens + b.spent,
	}
	if u.Whole > 0 { // a debt is this receiver's own
		u.Whole /= b.share
	}
	b.spent, b.offered, b.reported = 0, 0, now
	return u
}

// lease takes over what all receivers together have left, and this one's share of it. What was spent since the report is
// in the next one.
func (b *bucket) lease(l Lease, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share = l.Share
	b.tokens = min(l.Tokens*l.Share-b.spent, b.burst())
	b.at = now
}

// idle reports whether nothing is lost if the bucket is forgotten.
func (b *bucket) idle(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return now.Sub(b.used) >= forgetAfter && b.tokens >= b.burst()
}
