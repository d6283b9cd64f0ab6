package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

func TestEachRetentionClassIsABatchOfItsOwn(t *testing.T) {
	c := newCollector(100, time.Hour)
	of := &claim{}
	for i, class := range []uint8{0, 4, 0, 2, 4} {
		b := batchOf(10, int64(i))
		b.Class = class
		m := &sarama.ConsumerMessage{Offset: int64(i), Value: (&record.Encoder{}).Append(nil, b)}
		if err := c.add(context.Background(), of, m, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the memory is used again
		samples := map[uint8]int{}
		progress := 0
		progressed := []store.Progress{{NextOffset: 5}}
		err := c.filling.rows.write(context.Background(), progressed, func(_ context.Context, b *store.Batch) error {
			samples[b.Class] += b.Samples.Len()
			if progress += len(b.Progress); progress > 0 && len(samples) < 3 {
				t.Error("the progress is written before the last batch")
			}
			return nil
		})
		if err != nil || progress != 1 || len(samples) != 3 || samples[0] != 20 || samples[2] != 10 || samples[4] != 20 {
			t.Fatalf("samples by class %v, progress written %d times, %v", samples, progress, err)
		}
	}
	progressed := []store.Progress{{NextOffset: 5}}
	broken := errors.New("broken")
	for _, err := range []error{broken, nil} { // rows may be made anew between two attempts, their progress is the same
		if got := c.filling.rows.write(context.Background(), progressed, func(context.Context, *store.Batch) error { return err }); got != err {
			t.Fatalf("got %v, want %v", got, err)
		}
		c.filling.rows.reset()
		if n := c.filling.rows.rows(); n != 0 || progressed[0].NextOffset != 5 {
			t.Fatalf("%d rows are left, and the progress is %v", n, progressed)
		}
	}
}

func TestProgressIsNotWrittenAfterAFailure(t *testing.T) {
	var rows classes
	rows.of(1).Samples.Append(store.Key{}, 1, store.Decimal{})
	rows.of(2)
	broken := errors.New("broken")
	err := rows.write(context.Background(), []store.Progress{{NextOffset: 1}}, func(_ context.Context, b *store.Batch) error {
		if len(b.Progress) > 0 {
			t.Error("the progress is written")
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}
