package kafka

import (
	"context"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/record"
)

// leaveOut makes the rows of a batch anew where the list of erasures has changed since they were decoded, and concerns one
// of its records: what is erased from the tables must not be written after that.
func (c *Consumer) leaveOut(ctx context.Context, p *pending) error {
	erased := c.opts.Erased
	version := erased.version()
	if version == p.erased {
		return nil
	}
	generation, _ := c.reachedSoFar()
	concerned := false
	for _, m := range p.records {
		entries, err := erased.ofMessage(ctx, generation, m)
		if err != nil {
			return err
		}
		concerned = concerned || len(entries) > 0
	}
	p.erased = version
	if !concerned {
		return nil
	}
	p.rows.reset()
	return c.decodeAll(ctx, &p.rows, p.records)
}

// decodeAll decodes records that were decoded before, without what was erased.
func (c *Consumer) decodeAll(ctx context.Context, rows *classes, records []*sarama.ConsumerMessage) error {
	generation, _ := c.reachedSoFar()
	var d record.Decoder
	for _, m := range records {
		erased, err := c.opts.Erased.ofMessage(ctx, generation, m)
		if err != nil {
			return err
		}
		if err := decodeKept(&d, rows.of(record.Class(m.Value)), m.Value, erased); err != nil {
			return err
		}
	}
	return nil
}
