package bench

import (
	"context"
	"math"
	"sync"
)

// convoy keeps the shards within some rounds of each other, as shards are that one scraper feeds, and lets all of
// them end with the same round. Without it a fast shard's timestamps would leave a slow one's behind what a target
// accepts, and a run that continues this one would leave gaps.
type convoy struct {
	mu      sync.Mutex
	moved   chan struct{} // closed when the slowest shard moves
	rounds  []int64       // where each shard is
	ahead   int64         // how far a shard may be before the slowest
	reached int64         // greatest round of which any shard may have sent something
	end     int64         // first round that is not sent
}

func newConvoy(shards int, ahead int64) *convoy {
	return &convoy{moved: make(chan struct{}), rounds: make([]int64, shards), ahead: ahead, reached: -1, end: math.MaxInt64}
}

// enter says that the shard, which is in a round, is about to send samples through a later one. It waits until the
// others are near enough, and returns the round before which the shard must stop.
func (c *convoy) enter(ctx context.Context, shard int, round, through int64) (end int64, err error) {
	c.set(shard, round)
	for {
		c.mu.Lock()
		near := round <= c.slowest()+c.ahead
		if near {
			c.reached = min(max(c.reached, through), c.end-1)
		}
		end, moved := c.end, c.moved
		c.mu.Unlock()
		if near {
			return end, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// finish lets every shard go on to the end of the furthest round that any has begun, and no further.
func (c *convoy) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = min(c.end, c.reached+1)
}

// sentBefore returns the round before which all samples were to be sent.
func (c *convoy) sentBefore() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reached + 1
}

// leave says that the shard sends no more.
func (c *convoy) leave(shard int) { c.set(shard, math.MaxInt64-c.ahead) }

func (c *convoy) set(shard int, round int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.slowest()
	c.rounds[shard] = round
	if c.slowest() > before {
		close(c.moved)
		c.moved = make(chan struct{})
	}
}

func (c *convoy) slowest() int64 {
	least := int64(math.MaxInt64)
	for _, r := range c.rounds {
		least = min(least, r)
	}
	return least
}
