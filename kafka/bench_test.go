package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
)

// requests are what senders send: each its own 2,000 series with a sample each.
func requests(n int) []*store.Batch {
	all := make([]*store.Batch, n)
	for i := range all {
		all[i] = batchOf(2000, 1_700_000_000_000)
		for j := range all[i].Series {
			id := all[i].Series[j].Key.ID + uint64(i)<<40
			all[i].Series[j].Key.ID, all[i].Samples.IDs[j] = id, id
			all[i].Samples.Mants[j] = int64(j * 12345)
		}
	}
	return all
}

// BenchmarkPipeline measures samples from Write, acknowledged, to the consumer's writer.
func BenchmarkPipeline(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Embedded.RetentionAge = 0
	b.Run("embedded", func(b *testing.B) {
		log, err := OpenEmbedded(b.TempDir(), cfg, testLogger(b), nil)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkPipeline(b, cfg, log)
	})
	k := testenv.StartKafka(b)
	topics := 0
	b.Run("kafka", func(b *testing.B) {
		cfg := cfg
		cfg.Brokers = []string{k.Address}
		topics++
		cfg.Topic = fmt.Sprint("bench", topics)
		cfg.Group = cfg.Topic
		log, err := OpenBrokers(b.Context(), cfg, testLogger(b))
		if err != nil {
			b.Fatal(err)
		}
		benchmarkPipeline(b, cfg, log)
	})
}

func benchmarkPipeline(b *testing.B, cfg Config, log *Log) {
	defer log.Close()
	group, err := log.Group()
	if err != nil {
		b.Fatal(err)
	}
	var arrived atomic.Int64
	done := make(chan struct{}, 1)
	want := int64(-1)
	w := store.WriterFunc(func(_ context.Context, batch *store.Batch) error {
		if arrived.Add(int64(batch.Samples.Len())) == atomic.LoadInt64(&want) {
			done <- struct{}{}
		}
		return nil
	})
	c := NewConsumer(cfg, ConsumerOptions{Group: group, Writer: w, DeadLetter: log.DeadLetter})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	defer wg.Wait()
	defer cancel()

	p := NewProducer(cfg, log.Producer, ProducerOptions{Partitions: log.Partitions})
	all := requests(8)
	for _, r := range all { // announce
		if err := p.Write(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	n := int64(b.N)
	atomic.StoreInt64(&want, (n+8)*2000)
	b.ReportAllocs()
	b.ResetTimer()
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := i; j < b.N; j += 8 {
				if err := p.Write(b.Context(), all[i]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	writers.Wait()
	b.ReportMetric(float64(n)*2000/b.Elapsed().Seconds(), "acked-samples/s")
	<-done
	b.ReportMetric(float64(n)*2000/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkProducer measures what a request costs before the log has it.
func BenchmarkProducer(b *testing.B) {
	cfg := DefaultConfig()
	p := NewProducer(cfg, &fakeLog{}, ProducerOptions{Partitions: 12})
	r := requests(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Write(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/sample")
}
