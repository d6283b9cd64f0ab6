package engine

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
)

// A process that hangs looks alive to the system, and its clients wait for answers that never come. So the engine
// is asked one every probeInterval and has as long to answer; after missedProbes in a row without an answer it is
// taken to hang. Killing an engine loses nothing, but its queries fail and its caches are cold: the time is long
// enough for a machine that is busy, and several probes so that a process that was itself stopped for a while does
// not blame the engine.
const (
	probeInterval = 5 * time.Second
	missedProbes  = 3
)

// hangs asks the engine again and again, and returns true when it does not answer any more, false when the context
// ends before.
func hangs(ctx context.Context, a access) bool {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for missed := 0; missed < missedProbes; {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if answers(ctx, a) {
			missed = 0
			continue
		}
		missed++
	}
	return ctx.Err() == nil
}

// answers reports whether a probe is answered in time. A refusal, such as one for want of memory, is an answer.
func answers(ctx context.Context, a access) bool {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	err := ping(ctx, a)
	return err == nil || ch.IsException(err)
}
