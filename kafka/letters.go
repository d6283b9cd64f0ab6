package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// Letter is a record that could not be consumed, as it stands in the dead-letter topic.
type Letter struct {
	// Offset and Time are where and when it became a dead letter.
	Offset int64
	Time   time.Time

	// Topic, Partition and RecordOffset are where the record was, Error why it could not stay.
	Topic        string
	Generation   string // empty in letters of former versions, and where the log has none
	Partition    int32
	RecordOffset int64
	Error        string

	// CorrelationID is that of the request that the record came with; empty where it is not known.
	CorrelationID string

	// Value is the record.
	Value []byte
}

// letterOf reads a dead letter's headers. What is missing stays empty, and the partition -1.
func letterOf(m *sarama.ConsumerMessage) Letter {
	l := Letter{Offset: m.Offset, Time: m.Timestamp, Partition: -1, RecordOffset: -1, Value: m.Value}
	for _, h := range m.Headers {
		value := string(h.Value)
		switch string(h.Key) {
		case HeaderTopic:
			l.Topic = value
		case HeaderGeneration:
			l.Generation = value
		case HeaderError:
			l.Error = value
		case HeaderCorrelation:
			if correlation.Valid(value) {
				l.CorrelationID = value
			}
		case HeaderPartition:
			if n, err := strconv.ParseInt(value, 10, 32); err == nil {
				l.Partition = int32(n)
			}
		case HeaderOffset:
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				l.RecordOffset = n
			}
		}
	}
	return l
}

// letterPartition is the partition of all dead letters.
const letterPartition = 0

// Letters calls fn with the dead letters from an offset on, up to the last there is now.
func (a *Archive) Letters(ctx context.Context, from int64, fn func(Letter) error) error {
	oldest, next, err := a.source.bounds(a.cfg.DeadLetterTopic, letterPartition)
	if err != nil {
		return err
	}
	return a.source.read(ctx, a.cfg.DeadLetterTopic, letterPartition, max(from, oldest), next, func(m *sarama.ConsumerMessage) error {
		return fn(letterOf(m))
	})
}

// ReplayLetters appends the records of the dead letters from an offset on to the partitions where they were, if
// this program can decode them, and calls done with each and with the reason why it stays a letter only, nil where
// it was replayed. An error is about what ended the replay, which may be repeated: rows are identified by what they
// are. A record that still cannot be consumed becomes a dead letter again. What was erased since is left out of the
// records; while an erasure is pending, none is replayed.
func (a *Archive) ReplayLetters(ctx context.Context, from int64, done func(l Letter, kept error)) error {
	var decoder record.Decoder
	var encoder record.Encoder
	var rows store.Batch
	return a.Letters(ctx, from, func(l Letter) error {
		rows.Reset()
		if err := a.check(l, &decoder, &rows); err != nil {
			done(l, err)
			return nil
		}
		defer a.erased.begin()()
		erased, err := a.leaveOutOf(ctx, l, &rows)
		if err != nil {
			return err
		}
		if erased && rows.Empty() {
			done(l, errErased)
			return nil
		}
		if erased {
			l.Value = encoder.Append(nil, &rows)
		}
		m := &sarama.ProducerMessage{Topic: l.Topic, Partition: l.Partition, Value: sarama.ByteEncoder(l.Value)}
		if l.CorrelationID != "" {
			m.Headers = []sarama.RecordHeader{{Key: []byte(HeaderCorrelation), Value: []byte(l.CorrelationID)}}
		}
		if _, _, err := a.producer.SendMessage(m); err != nil {
			return fmt.Errorf("cannot replay the dead letter at offset %d: %w", l.Offset, err)
		}
		done(l, nil)
		return nil
	})
}

// check tells why a letter cannot be replayed.
func (a *Archive) check(l Letter, d *record.Decoder, rows *store.Batch) error {
	switch {
	case l.Topic != a.cfg.Topic:
		return fmt.Errorf("it is of topic %q, this log's is %q: set --kafka.topic", l.Topic, a.cfg.Topic)
	case l.Partition < 0 || int(l.Partition) >= a.partitions:
		return fmt.Errorf("it is of partition %d, the topic has %d", l.Partition, a.partitions)
	}
	if err := d.Decode(rows, l.Value); err != nil {
		return fmt.Errorf("it still cannot be read: %w", err)
	}
	return nil
}
