package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/embedded"
)

// folders are embedded logs by topic.
type folders map[string]*embedded.Log

func (f folders) bounds(topic string, partition int32) (oldest, next int64, err error) {
	oldest, next = f[topic].Bounds(partition)
	return oldest, next, nil
}

func (f folders) offsetAt(topic string, partition int32, at time.Time) (int64, error) {
	oldest, next := f[topic].Bounds(partition)
	for oldest < next { // times ascend with offsets: halve
		middle := oldest + (next-oldest)/2
		m, err := f[topic].Read(partition, middle)
		if err != nil {
			return 0, err
		}
		switch {
		case m == nil || !m.Timestamp.Before(at):
			next = middle
		default:
			oldest = m.Offset + 1
		}
	}
	return next, nil
}

func (f folders) read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*sarama.ConsumerMessage) error) error {
	for ctx.Err() == nil {
		m, err := f[topic].Read(partition, from)
		if err != nil || m == nil || m.Offset >= to {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
		from = m.Offset + 1
	}
	return ctx.Err()
}

func (f folders) close() error {
	var errs []error
	for _, log := range f {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}

// brokers are a Kafka cluster.
type brokers struct {
	client   sarama.Client
	consumer func() (sarama.Consumer, error)
}

// brokerIdle is how long no record may come before a read gives up. Our own topics have a record at every offset.
const brokerIdle = 30 * time.Second

func (b brokers) bounds(topic string, partition int32) (oldest, next int64, err error) {
	if oldest, err = b.client.GetOffset(topic, partition, sarama.OffsetOldest); err == nil {
		next, err = b.client.GetOffset(topic, partition, sarama.OffsetNewest)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("cannot look up the offsets of partition %d of Kafka topic %s: %w", partition, topic, err)
	}
	return oldest, next, nil
}

func (b brokers) offsetAt(topic string, partition int32, at time.Time) (int64, error) {
	offset, err := b.client.GetOffset(topic, partition, at.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("cannot look up the offset of %s in partition %d of Kafka topic %s: %w", at, partition, topic, err)
	}
	if offset >= 0 {
		return offset, nil
	}
	_, next, err := b.bounds(topic, partition)
	return next, err
}

func (b brokers) read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*sarama.ConsumerMessage) error) (err error) {
	if from >= to {
		return nil
	}
	consumer, err := b.consumer()
	if err != nil {
		return fmt.Errorf("cannot read from Kafka: %w", err)
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	claim, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return fmt.Errorf("cannot read partition %d of Kafka topic %s from offset %d: %w", partition, topic, from, err)
	}
	defer func() { err = errors.Join(err, claim.Close()) }()
	idle := time.NewTimer(brokerIdle)
	defer idle.Stop()
	for from < to {
		idle.Reset(brokerIdle)
		select {
		case m := <-claim.Messages():
			if m == nil {
				return fmt.Errorf("cannot read partition %d of Kafka topic %s from offset %d: the reader ended", partition, topic, from)
			}
			if m.Offset >= to {
				return nil
			}
			if err := fn(m); err != nil {
				return err
			}
			from = m.Offset + 1
		case err := <-claim.Errors():
			return fmt.Errorf("cannot read partition %d of Kafka topic %s from offset %d: %w", partition, topic, from, err)
		case <-idle.C:
			return fmt.Errorf("cannot read partition %d of Kafka topic %s from offset %d: nothing came for %s", partition, topic, from, brokerIdle)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (b brokers) close() error { return b.client.Close() }
