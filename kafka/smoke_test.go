package kafka

import (
	"context"
	"testing"
)

func TestSmoke(t *testing.T) {
	cfg := DefaultConfig()
	cfg.FlushAge = 10e6
	log, err := OpenEmbedded(t.TempDir(), cfg, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := NewProducer(cfg, log.Producer, ProducerOptions{Partitions: log.Partitions})
	b := batchOf(1000, 1000)
	want := keysOf(b)
	if err := p.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	group, err := log.Group()
	if err != nil {
		t.Fatal(err)
	}
	w := newTables()
	c := NewConsumer(cfg, ConsumerOptions{Group: group, Writer: w, Progress: w, DeadLetter: log.DeadLetter, Logger: testLogger(t)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
