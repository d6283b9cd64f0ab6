package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// retry waits between attempts, longer each time, and logs when a fault begins, changes and ends.
type retry struct {
	logger   *slog.Logger
	what     string
	failures int
	last     string
	since    time.Time
}

func newRetry(logger *slog.Logger, what string) *retry { return &retry{logger: logger, what: what} }

// failed waits before the next attempt, or until ctx ends.
func (r *retry) failed(ctx context.Context, err error) {
	if r.failures == 0 {
		r.since = time.Now()
	}
	if r.last != err.Error() {
		r.last = err.Error()
		r.logger.WarnContext(ctx, r.what, "err", err)
	}
	wait := min(minBackoff<<min(r.failures, 10), maxBackoff)
	wait = wait/2 + rand.N(wait/2)
	r.failures++
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// succeeded ends the fault, if there was one.
func (r *retry) succeeded() {
	if r.failures > 0 {
		r.logger.Info("recovered", "after", time.Since(r.since), "attempts", r.failures, "from", r.last)
	}
	r.failures, r.last = 0, ""
}
