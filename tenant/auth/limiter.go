package auth

import (
	"sync"
	"time"
)

const (
	// failuresAtOnce is how many requests with bad keys are answered at once, and failureEvery how often one more.
	failuresAtOnce = 20
	failureEvery   = 3 * time.Second

	// maxWatched bounds what is remembered.
	maxWatched = 10_000
)

// limiter slows down who tries keys and passwords: after some failures nothing is answered but to wait, until then even to
// the right password. A good key does not come here.
type limiter struct {
	mu sync.Mutex

	// until is, for each who failed, when the failures are all forgiven.
	until map[string]time.Time
}

func newLimiter() *limiter { return &limiter{until: map[string]time.Time{}} }

// wait returns how long one has to wait for the next answer; 0 is not at all.
func (l *limiter) wait(who string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, failed := l.until[who]
	if !failed {
		return 0
	}
	return max(0, until.Sub(now)-(failuresAtOnce-1)*failureEvery)
}

// failed notes a failure.
func (l *limiter) failed(who string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.until) >= maxWatched {
		for other, until := range l.until {
			if !now.Before(until) {
				delete(l.until, other)
			}
		}
		// With ten thousand addresses in a minute nobody guesses 192 bits either.
		if len(l.until) >= maxWatched {
			clear(l.until)
		}
	}
	until := l.until[who]
	if until.Before(now) {
		until = now
	}
	l.until[who] = until.Add(failureEvery)
}
