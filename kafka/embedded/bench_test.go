package embedded

import (
	"fmt"
	"sync"
	"testing"

	"github.com/IBM/sarama"
)

// BenchmarkAppend measures group commit: each writer waits for the fsync of its own record.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 200 << 10} {
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%dKB/%d", size>>10, writers), func(b *testing.B) {
				cfg := DefaultConfig()
				cfg.RetentionAge = 0
				cfg.MaxBytes = 1 << 30
				l, err := Open(b.TempDir(), cfg, Options{Topic: topic, Partitions: 8, Unconsumed: true})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				b.SetBytes(int64(size))
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						value := sarama.ByteEncoder(make([]byte, size))
						p := l.Producer()
						for i := w; i < b.N; i += writers {
							if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: int32(i % 8), Value: value}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const records, size = 1000, 4 << 10
	l, err := Open(b.TempDir(), DefaultConfig(), Options{Topic: topic, Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var ms []*sarama.ProducerMessage
	for range records {
		ms = append(ms, &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, size))})
	}
	if err := l.Producer().SendMessages(ms); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	i := int64(0)
	for b.Loop() {
		if m, _, err := l.read(0, i%records); err != nil || m == nil {
			b.Fatal(m, err)
		}
		i++
	}
}
