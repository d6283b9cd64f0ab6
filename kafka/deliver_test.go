package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// stuckLog answers when it is let go, and keeps the times of the samples that it read then.
type stuckLog struct {
	sarama.SyncProducer
	letGo chan struct{}
	times chan int64
}

func (l stuckLog) SendMessages(ms []*sarama.ProducerMessage) error {
	<-l.letGo
	var d record.Decoder
	var b store.Batch
	value, err := ms[0].Value.Encode()
	if err == nil {
		err = d.Decode(&b, value)
	}
	if err == nil {
		l.times <- b.Samples.TimesMs[0]
	}
	return err
}

// TestStuckLog checks that a write is answered while the log is not, that what it sent stays as it was until the log has
// read it, and that its label sets count as not sent.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := stuckLog{letGo: make(chan struct{}), times: make(chan int64, 2)}
		p := NewProducer(DefaultConfig(), log, ProducerOptions{Partitions: 1})
		for _, at := range []int64{1000, 2000} {
			begin := time.Now()
			err := p.Write(context.Background(), batchOf(5, at))
			if store.KindOf(err) != store.KindUnavailable || time.Since(begin) != deliverTimeout {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
		if n := p.announced.Load().count(); n != 0 {
			t.Errorf("%d label sets count as sent", n)
		}
		close(log.letGo)
		if sum := <-log.times + <-log.times; sum != 3000 {
			t.Errorf("the log read other samples than it was sent, the sum of their times is %d", sum)
		}
	})
}
