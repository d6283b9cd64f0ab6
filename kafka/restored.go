package kafka

import (
	"context"
	"errors"
)

// errRestored says that the tables have less than was written into them.
var errRestored = errors.New("the tables have less than was written into them: they were restored from a backup, or emptied")

// checkTables looks before a write whether the tables are those of before: since the last write they may have been restored
// from a backup. If writing went on into such tables, their progress would be beyond what they lost, and nobody would see
// it.
func (c *Consumer) checkTables(ctx context.Context) error {
	if c.opts.Progress == nil {
		return nil
	}
	generation, committed := c.reachedSoFar()
	progress, err := c.opts.Progress.Progress(ctx, c.cfg.Topic, generation)
	if err != nil {
		return err
	}
	for partition, next := range committed {
		if progress[partition] < next {
			c.logger.Warn("the tables have less than was written into them, reading the log again", "partition", partition,
				"committed_offset", next, "from_offset", progress[partition])
			c.giveUp()
			return errRestored
		}
	}
	return nil
}

// reachedSoFar returns how far the claims have written: those that the consumer has, and those of the batch that is being
// written, which it may have no more.
func (c *Consumer) reachedSoFar() (generation string, next map[int32]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = map[int32]int64{}
	for _, claims := range []map[*claim]struct{}{c.claims, c.flushing} {
		for cl := range claims {
			generation = cl.generation
			next[cl.partition] = max(next[cl.partition], cl.written.next)
		}
	}
	return generation, next
}

// giveUp ends the sessions of all claims. The next begin where the tables are; what these have collected is not
// written.
func (c *Consumer) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claims := range []map[*claim]struct{}{c.claims, c.flushing} {
		for cl := range claims {
			cl.givenUp = true
			cl.end()
		}
	}
}

// startFlush remembers what is being written, and reports whether it may be: whether no claim of it is given up.
func (c *Consumer) startFlush(p *pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.flushing)
	for cl := range p.claims {
		if cl.givenUp {
			return false
		}
		c.flushing[cl] = struct{}{}
	}
	return true
}
