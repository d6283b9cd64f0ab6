package kafka

import (
	"context"

	"github.com/metricstream/metricstream/store"
)

// classes are the rows of records, a batch for each retention class, because a batch has one. Nearly always there is one
// batch.
type classes struct{ batches []*store.Batch }

// of returns the batch of a class.
func (c *classes) of(class uint8) *store.Batch {
	for _, b := range c.batches {
		if b.Class == class {
			return b
		}
	}
	b := &store.Batch{Class: class}
	c.batches = append(c.batches, b)
	return b
}

// rows counts the rows.
func (c *classes) rows() int {
	n := 0
	for _, b := range c.batches {
		n += rows(b)
	}
	return n
}

// write writes one batch after the other, and the progress with the last: it speaks of them all.
func (c *classes) write(ctx context.Context, progress []store.Progress, write func(context.Context, *store.Batch) error) error {
	if len(c.batches) == 0 {
		c.of(0)
	}
	last := len(c.batches) - 1
	for i, b := range c.batches {
		if i == last {
			b.Progress = progress
		}
		err := write(ctx, b)
		b.Progress = nil // it stays the caller's: to reset the batch would clear it before it is written again
		if err != nil {
			return err
		}
	}
	return nil
}

// reset empties the batches and keeps the memory of one.
func (c *classes) reset() {
	clear(c.batches[min(1, len(c.batches)):])
	c.batches = c.batches[:min(1, len(c.batches))]
	for _, b := range c.batches {
		b.Reset()
	}
}
