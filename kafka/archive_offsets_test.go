package kafka

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// What a shadow is told of the log it is read from.
func TestArchiveArrival(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(), t.TempDir()
	log, err := Open(t.Context(), cfg, dir, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.UnixMilli(1_700_000_000_000)
	for i := range 3 {
		if _, _, err := log.Producer.SendMessage(&sarama.ProducerMessage{Topic: cfg.Topic, Partition: 1, Timestamp: begin.Add(time.Duration(i) * time.Minute), Value: sarama.StringEncoder("x")}); err != nil {
			t.Fatal(err)
		}
	}
	generation, err := log.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(t.Context(), cfg, dir, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got, err := a.Generation(t.Context()); err != nil || got != generation || got == "" {
		t.Errorf("generation %q, %v, wanted %q", got, err, generation)
	}
	oldest, next, err := a.Bounds()
	if err != nil || oldest[1] != 0 || next[1] != 3 || next[0] != 0 || len(next) != a.Partitions() {
		t.Errorf("from %v to %v, %v", oldest, next, err)
	}
	now := begin.Add(time.Hour)
	for offset, want := range map[int64]time.Time{0: begin, 2: begin.Add(2 * time.Minute), 3: now} {
		if at, err := a.Arrival(t.Context(), 1, offset, now); err != nil || !at.Equal(want) {
			t.Errorf("offset %d arrived at %v, %v, wanted %v", offset, at, err, want)
		}
	}
}
