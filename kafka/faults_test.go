package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/store"
)

// lossyLog appends, and sometimes says that it did not; sometimes it does not, either.
type lossyLog struct{ sarama.SyncProducer }

func (l lossyLog) SendMessages(ms []*sarama.ProducerMessage) error {
	lost := errors.New("the answer was lost")
	switch rand.IntN(4) {
	case 0:
		return lost
	case 1: // some partitions have it, and the answer says nothing
		_ = l.SyncProducer.SendMessages(ms[:rand.IntN(len(ms))])
		return lost
	case 2:
		_ = l.SyncProducer.SendMessages(ms)
		return lost
	}
	return l.SyncProducer.SendMessages(ms)
}

// TestFaultsLoseNothing loses answers everywhere, kills consumers without letting them finish, and reopens the
// log: what was acknowledged is in the tables at the end, with its label sets.
func TestFaultsLoseNothing(t *testing.T) {
	dir, cfg := t.TempDir(), testConfig()
	cfg.DrainTimeout = 0
	cfg.FlushAge = time.Millisecond
	w := newTables()
	lossy := store.WriterFunc(func(ctx context.Context, b *store.Batch) error {
		switch rand.IntN(4) {
		case 0:
			return errors.New("not written")
		case 1:
			part := *b // the tables have some of it, but not the progress, which comes last
			part.Progress = nil
			_, part.Samples = cutSamples(&b.Samples, b.Samples.Len()/2)
			_ = w.Write(ctx, &part)
			return errors.New("written in part")
		case 2:
			_ = w.Write(ctx, b)
			return errors.New("the answer was lost")
		}
		return w.Write(ctx, b)
	})
	var want []sampleKey
	for life := range 8 {
		log, err := OpenEmbedded(dir, cfg, testLogger(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &backend{cfg: cfg, log: log}
		p := NewProducer(cfg, lossyLog{log.Producer}, ProducerOptions{Partitions: log.Partitions})
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range 20 {
				request := batchOf(50, int64(life*1000+i))
				for p.Write(context.Background(), request) != nil { // as senders do
					time.Sleep(time.Millisecond)
				}
				want = append(want, keysOf(request)...)
			}
		})
		first, second := b.consume(t, lossy, w), b.consume(t, lossy, w)
		writing.Wait()
		if life == 7 {
			eventually(t, "everything that was acknowledged arrives", func() bool { return w.missing(want) == 0 })
		}
		first.stop()
		second.stop()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.series) != 50 {
		t.Errorf("%d label sets arrived, want 50", len(w.series))
	}
}
