package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/correlation"
)

// Headers of a dead letter: where the record was, and why it is one.
const (
	HeaderTopic      = "metricstream-topic"
	HeaderGeneration = "metricstream-generation"
	HeaderPartition  = "metricstream-partition"
	HeaderOffset     = "metricstream-offset"
	HeaderError      = "metricstream-error"
)

// maxReasonBytes bounds a dead letter's HeaderError.
const maxReasonBytes = 4096

// deadLetter puts a record into the dead-letter topic. It tries until it succeeds or ctx ends.
func (c *Consumer) deadLetter(ctx context.Context, m *sarama.ConsumerMessage, cause error) error {
	header := func(key, value string) sarama.RecordHeader {
		return sarama.RecordHeader{Key: []byte(key), Value: []byte(value)}
	}
	value, reason := m.Value, cause.Error()
	if len(value) > c.cfg.MaxRecordBytes { // not a record of ours
		reason = fmt.Sprintf("cut off, there were %d bytes: %s", len(value), reason)
		value = value[:c.cfg.MaxRecordBytes]
	}
	generation, _ := c.reachedSoFar()
	letter := &sarama.ProducerMessage{
		Topic: c.cfg.DeadLetterTopic,
		Value: sarama.ByteEncoder(value),
		Headers: []sarama.RecordHeader{
			header(HeaderTopic, m.Topic),
			header(HeaderGeneration, generation),
			header(HeaderPartition, strconv.Itoa(int(m.Partition))),
			header(HeaderOffset, strconv.FormatInt(m.Offset, 10)),
			header(HeaderError, reason[:min(len(reason), maxReasonBytes)]),
		},
	}
	if id := string(headerOf(m, HeaderCorrelation)); correlation.Valid(id) {
		letter.Headers = append(letter.Headers, header(HeaderCorrelation, id))
	}
	ctx = ofRecord(ctx, m)
	c.logger.ErrorContext(ctx, "record becomes a dead letter", "partition", m.Partition, "offset", m.Offset, "topic", c.cfg.DeadLetterTopic, "err", cause)
	retry := newRetry(c.logger, "cannot write dead letter")
	for ctx.Err() == nil {
		_, _, err := c.opts.DeadLetter.SendMessage(letter)
		if err == nil {
			retry.succeeded()
			c.metrics.deadLetters.Inc()
			return nil
		}
		c.metrics.retries.Inc()
		retry.failed(ctx, err)
	}
	return ctx.Err()
}
