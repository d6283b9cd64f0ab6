package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/kafka/embedded"
	"github.com/metricstream/metricstream/store"
)

func TestEmbeddedArchive(t *testing.T) {
	t.Parallel()
	dir, cfg := t.TempDir(), testConfig()
	if _, err := OpenArchive(t.Context(), cfg, dir+"/nothing", testLogger(t)); err == nil {
		t.Error("a folder that is not there is opened")
	}
	testArchive(t, cfg, dir)
	log, err := OpenEmbedded(dir, cfg, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := OpenArchive(t.Context(), cfg, dir, testLogger(t)); !errors.Is(err, embedded.ErrLocked) {
		t.Errorf("a folder that is open: got %v", err)
	}
}

func TestApacheKafkaArchive(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Brokers = []string{testenv.StartKafka(t).Address}
	if _, err := OpenArchive(t.Context(), cfg, "", testLogger(t)); err == nil || !strings.Contains(err.Error(), cfg.Topic) {
		t.Errorf("a topic that is not there: got %v", err)
	}
	testArchive(t, cfg, "")
}

// testArchive makes two dead letters, of which one is fine once its cause is gone, and replays them.
func testArchive(t *testing.T, cfg Config, dir string) {
	open := func() *backend {
		log, err := Open(t.Context(), cfg, dir, testLogger(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		return &backend{cfg: cfg, log: log}
	}
	b := open()
	p := b.producer()
	fine, refused := b.write(t, p, 1, 3), batchOf(1, 666)
	if err := p.Write(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	garbage := &sarama.ProducerMessage{Topic: cfg.Topic, Partition: 2, Value: sarama.StringEncoder("\x01garbage")}
	if _, _, err := b.log.Producer.SendMessage(garbage); err != nil {
		t.Fatal(err)
	}
	between := time.Now().Add(time.Millisecond)
	eventually(t, "the clock moves on", func() bool { return time.Now().After(between.Add(time.Millisecond)) })
	fine = append(fine, b.write(t, p, 100, 1)...)

	w := newTables()
	w.failWith(func(b *store.Batch) error {
		if slices.Contains(b.Samples.TimesMs, 666) {
			return store.Invalidf("no sample of 666")
		}
		return nil
	})
	c := b.consume(t, w, nil)
	eventually(t, "two dead letters, and everything else arrives", func() bool { return len(c.letters.all()) == 2 && w.missing(fine) == 0 })
	c.stop()
	if err := b.log.Close(); err != nil {
		t.Fatal(err)
	}

	a, err := OpenArchive(t.Context(), cfg, dir, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	checkLetters(t, a, garbage.Offset)
	checkTimes(t, a, between)
	outcome := map[string]int{}
	if err := a.ReplayLetters(t.Context(), 0, func(l Letter, kept error) {
		outcome[fmt.Sprint(kept == nil, " ", l.Partition == 2 && l.RecordOffset == garbage.Offset)]++
	}); err != nil {
		t.Fatal(err)
	}
	if outcome["false true"] != 1 || outcome["true false"] != 1 || len(outcome) != 2 {
		t.Errorf("replayed, garbage: %v", outcome)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	b = open()
	defer b.log.Close()
	again := newTables()
	c = b.consume(t, again, again)
	defer c.stop()
	eventually(t, "the replayed record arrives", func() bool { return again.missing(keysOf(refused)) == 0 })
}

func checkLetters(t *testing.T, a *Archive, garbageOffset int64) {
	t.Helper()
	var all []Letter
	if err := a.Letters(t.Context(), 0, func(l Letter) error { all = append(all, l); return nil }); err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, l := range all {
		if l.Offset != int64(i) || l.Topic != a.cfg.Topic || l.Error == "" || l.Time.IsZero() {
			t.Errorf("letter %d: %+v", i, l)
		}
		if string(l.Value) == "\x01garbage" && l.Partition == 2 && l.RecordOffset == garbageOffset {
			found++
		}
		if strings.Contains(l.Error, "no sample of 666") {
			found++
		}
	}
	if len(all) != 2 || found != 2 {
		t.Errorf("got %+v", all)
	}
	later := 0
	if err := a.Letters(t.Context(), 1, func(Letter) error { later++; return nil }); err != nil || later != 1 {
		t.Errorf("%d letters from offset 1 on, %v", later, err)
	}
}

// checkTimes looks for the offset of a time before which all but the last records of each partition were written.
func checkTimes(t *testing.T, a *Archive, at time.Time) {
	t.Helper()
	for p := range int32(a.Partitions()) {
		oldest, next, err := a.source.bounds(a.cfg.Topic, p)
		if err != nil {
			t.Fatal(err)
		}
		for when, want := range map[time.Time]int64{at: next - 1, time.UnixMilli(1): oldest, time.Now().Add(time.Hour): next} {
			if got, err := a.source.offsetAt(a.cfg.Topic, p, when); err != nil || got != want {
				t.Errorf("partition %d at %s: offset %d, %v, want %d", p, when, got, err, want)
			}
		}
	}
}
