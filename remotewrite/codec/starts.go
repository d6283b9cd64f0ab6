package codec

import "github.com/metricstream/metricstream/store"

// startState is what is known of the start timestamps of a series: the latest Start row and the latest point
// that it held for. The zero value knows nothing.
type startState struct {
	known           bool
	timeMs, startMs int64
	lastMs          int64
}

// next appends the Start rows that a point at timeMs with this start timestamp needs. A series that never had
// one needs none.
func (c *startState) next(dst []store.Start, k store.Key, timeMs, startMs int64) []store.Start {
	row := store.Start{Key: k, TimeMs: timeMs, StartMs: startMs}
	switch {
	case !c.known:
		if startMs == 0 {
			return dst
		}
		*c = startState{known: true, timeMs: timeMs, startMs: startMs, lastMs: timeMs}
		return append(dst, row)
	case timeMs < c.timeMs:
		// Older than the latest row: what was in force then is not known here.
		return append(dst, row)
	case startMs == c.startMs:
		c.lastMs = max(c.lastMs, timeMs)
		return dst
	case timeMs < c.lastMs && timeMs > c.timeMs:
		// A late point among points of another start: the row after it puts theirs in force again.
		back := store.Start{Key: k, TimeMs: timeMs + 1, StartMs: c.startMs}
		return append(dst, row, back)
	default:
		*c = startState{known: true, timeMs: timeMs, startMs: startMs, lastMs: max(c.lastMs, timeMs)}
		return append(dst, row)
	}
}
