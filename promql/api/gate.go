package api

import "context"

// gate lets a number of holders in at once.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) }

// enter waits for a place and returns the context's error when that ends first. A place is taken without a
// wait even when the context has ended, so that the caller reports the end in its own words.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }
