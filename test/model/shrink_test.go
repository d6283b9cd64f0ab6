package model

import (
	"slices"
	"testing"
)

// attempts is how often an interleaving is played before it counts as passed. Goroutines are not scheduled the same
// way twice, and the pauses between attempts of the consumer are random.
const attempts = 30

// fails plays an interleaving until it fails, and returns what was wrong.
func fails(t *testing.T, seed uint64, events []event, attempts int) []string {
	for range attempts {
		if failures := run(t, seed, events); len(failures) > 0 {
			return failures
		}
	}
	return nil
}

// shrink leaves out events for as long as what remains still fails, halves first, then single ones.
func shrink(t *testing.T, seed uint64, events []event) []event {
	for size := len(events) / 2; size > 0; {
		smaller := false
		for i := 0; i+size <= len(events); {
			fewer := slices.Delete(slices.Clone(events), i, i+size)
			if fails(t, seed, fewer, attempts) != nil {
				events, smaller = fewer, true
			} else {
				i++
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return events
}

// reproduce plays a seed until it fails, and prints the events that it takes.
func reproduce(t *testing.T, seed uint64) {
	events := script(seed)
	if fails(t, seed, events, attempts) == nil {
		t.Logf("seed %d passes %d times:\n%s", seed, attempts, list(events))
		return
	}
	events = shrink(t, seed, events)
	t.Errorf("seed %d fails with these events:\n%s%q", seed, list(events), fails(t, seed, events, 10*attempts))
}
