package rollup

import "github.com/metricstream/metricstream/store"

// startCursor finds the start timestamps of samples in order of time. Floats and histograms are looked up by turns,
// bucket by bucket, so it can go back.
type startCursor struct {
	starts []store.StartPoint
	n      int // starts at or before the last time
}

// any reports whether the series has start timestamps.
func (s *startCursor) any() bool { return len(s.starts) > 0 }

// at returns the start timestamp of a sample, 0 without.
func (s *startCursor) at(timeMs int64) int64 {
	for s.n > 0 && s.starts[s.n-1].TimeMs > timeMs {
		s.n--
	}
	for s.n < len(s.starts) && s.starts[s.n].TimeMs <= timeMs {
		s.n++
	}
	if s.n == 0 {
		return 0
	}
	return s.starts[s.n-1].StartMs
}

// isStartReset reports whether the start timestamps of two neighbours tell of a counter reset between them. It is
// the engine's rule: a start that changed, and lies between the two samples, is one. A start at the time of the earlier
// sample is one for deltas, whose samples each begin where the one before ends, and is none where the earlier sample's
// start was not known: where it had none, or one that is not before it.
func isStartReset(prevStartMs, prevMs, startMs, timeMs int64) bool {
	switch {
	case startMs == prevStartMs || startMs == 0 || startMs >= timeMs || startMs < prevMs:
		return false
	case startMs > prevMs:
		return true
	}
	return prevStartMs != 0 && prevStartMs < prevMs
}

// isStartOverlap reports whether a sample says that it began before the sample before it, other than that one did.
func isStartOverlap(prevStartMs, prevMs, startMs int64) bool {
	return startMs != 0 && startMs < prevMs && startMs != prevStartMs
}
