package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// Topic is the name of the log's topic.
func (a *Archive) Topic() string { return a.cfg.Topic }

// Generation tells the topic from another of the same name before it; empty where brokers know no topic ids.
func (a *Archive) Generation(ctx context.Context) (string, error) {
	switch source := a.source.(type) {
	case brokers:
		return brokerTopic{source.client, a.cfg}.Generation(ctx)
	case folders:
		return embeddedTopic{source[a.cfg.Topic]}.Generation(ctx)
	}
	return "", nil
}

// Offsets looks up where a position is now in each partition that it names.
func (a *Archive) Offsets(at Position) (map[int32]int64, error) {
	out := map[int32]int64{}
	for p := range int32(a.partitions) {
		offset, named, err := a.resolve(p, at)
		if err != nil {
			return nil, err
		}
		if named {
			out[p] = offset
		}
	}
	return out, nil
}

// Newest is the position behind the last record.
func Newest() Position { return Position{newest: true} }

// Bounds returns the oldest offset of each partition and the one that its next record will have.
func (a *Archive) Bounds() (oldest, next map[int32]int64, err error) {
	if oldest, err = a.Offsets(Position{}); err == nil {
		next, err = a.Offsets(Newest())
	}
	return oldest, next, err
}

// Arrival returns when the record at an offset was written, or the first one behind it; now where there is none. All
// records before the offset were written before that.
func (a *Archive) Arrival(ctx context.Context, partition int32, offset int64, now time.Time) (time.Time, error) {
	_, next, err := a.source.bounds(a.cfg.Topic, partition)
	if err != nil {
		return now, err
	}
	found := errors.New("found")
	at := now
	err = a.source.read(ctx, a.cfg.Topic, partition, offset, next, func(m *sarama.ConsumerMessage) error {
		at = m.Timestamp
		return found
	})
	if err != nil && !errors.Is(err, found) {
		return now, err
	}
	return at, nil
}
