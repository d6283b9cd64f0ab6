package corpus_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store/clickhouse"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// pollInterval is how often the tables are asked how far they are.
const pollInterval = 5 * time.Millisecond

// acknowledged is a log's producer that knows how far each partition has been written.
type acknowledged struct {
	sarama.SyncProducer

	mu   sync.Mutex
	next map[int32]int64
}

// SendMessages is all that the producer of package kafka uses.
func (a *acknowledged) SendMessages(messages []*sarama.ProducerMessage) error {
	if err := a.SyncProducer.SendMessages(messages); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range messages {
		a.next[m.Partition] = max(a.next[m.Partition], m.Offset+1)
	}
	return nil
}

// reached waits until the tables hold all that has been acknowledged.
func (a *acknowledged) reached(ctx context.Context, s *clickhouse.Store, topic string) error {
	a.mu.Lock()
	want := map[int32]int64{}
	for p, next := range a.next {
		want[p] = next
	}
	a.mu.Unlock()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		got, err := s.Progress(ctx, topic, "")
		if err != nil {
			return err
		}
		for p, next := range got {
			if next >= want[p] {
				delete(want, p)
			}
		}
		if len(want) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// openClickHouse opens a new database of the engine that the tests share.
func openClickHouse(t *testing.T) *clickhouse.Store {
	t.Helper()
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/corpus_%d", time.Now().UnixNano())
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestLogToClickHouse is the whole path: remote write, log, consumer, ClickHouse.
func TestLogToClickHouse(t *testing.T) {
	cfg := kafka.DefaultConfig()
	cfg.Partitions, cfg.FlushAge = 4, 10*time.Millisecond
	log, err := kafka.OpenEmbedded(t.TempDir(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := openClickHouse(t)
	group, err := log.Group()
	if err != nil {
		t.Fatal(err)
	}
	consumer := kafka.NewConsumer(cfg, kafka.ConsumerOptions{Group: group, Writer: s, Progress: s, DeadLetter: log.DeadLetter})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- consumer.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	producer := &acknowledged{SyncProducer: log.Producer, next: map[int32]int64{}}
	p := newFront(kafka.NewProducer(cfg, producer, kafka.ProducerOptions{Partitions: log.Partitions}), s)
	p.visible = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return producer.reached(ctx, s, cfg.Topic)
	}
	check(t, p)
	if len(producer.next) != log.Partitions {
		t.Errorf("%d of %d partitions were written to", len(producer.next), log.Partitions)
	}
}
