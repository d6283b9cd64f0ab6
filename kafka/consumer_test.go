package kafka

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

func embeddedBackend(t *testing.T) *backend {
	t.Helper()
	cfg := testConfig()
	log, err := OpenEmbedded(t.TempDir(), cfg, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return &backend{cfg: cfg, log: log}
}

func TestMemoryIsBoundedWhileTheTablesAreAway(t *testing.T) {
	b := embeddedBackend(t)
	b.cfg.FlushRows = 500
	b.cfg.DrainTimeout = 10 * time.Millisecond
	b.write(t, b.producer(), 1, 100) // 10,000 samples
	w := newTables()
	var tries atomic.Int32
	w.failWith(func(*store.Batch) error { tries.Add(1); return errors.New("away") })
	c := b.consume(t, w, nil)
	eventually(t, "some attempts", func() bool { return tries.Load() > 4 })
	c.collector.mu.Lock()
	weight := c.collector.filling.weight
	c.collector.mu.Unlock()
	if weight < 500 || weight > 500+4*60 {
		t.Errorf("the batch that waits has weight %d, want little more than 500", weight)
	}
	c.stop() // does not hang
}

func TestARunningConsumerRewindsAPartitionThatComesLater(t *testing.T) {
	b := embeddedBackend(t)
	want := b.write(t, b.producer(), 1, 10)
	w := newTables()
	first := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(first) == 0 })

	w.forget() // restored from an old backup while a consumer runs
	second := b.consume(t, w, w)
	eventually(t, "some partitions came to the second, and their rows again", func() bool { return w.missing(want) < len(want) })
	first.stop()
	eventually(t, "all rows came again", func() bool { return w.missing(want) == 0 })
	second.stop()
}

func lagOf(c *running) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := int64(0)
	for cl := range c.claims {
		total += cl.of.HighWaterMarkOffset() - max(0, cl.written.next)
	}
	return total
}

func TestLagIsMeasured(t *testing.T) {
	b := embeddedBackend(t)
	b.cfg.DrainTimeout = 10 * time.Millisecond
	w := newTables()
	c := b.consume(t, w, nil)
	want := b.write(t, b.producer(), 1, 1)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	w.failWith(func(*store.Batch) error { return errors.New("away") })
	b.put(t, 2, (&record.Encoder{}).Append(nil, batchOf(1, 5)))
	expect := func(records float64) error {
		return testutil.CollectAndCompare(&lag{consumer: c.Consumer}, strings.NewReader(strings.NewReplacer("N", map[bool]string{true: "1", false: "0"}[records == 1]).Replace(`
# HELP metricstream_consumer_lag_records Records in the partition that are not committed.
# TYPE metricstream_consumer_lag_records gauge
metricstream_consumer_lag_records{partition="0"} 0
metricstream_consumer_lag_records{partition="1"} 0
metricstream_consumer_lag_records{partition="2"} N
metricstream_consumer_lag_records{partition="3"} 0
`)), "metricstream_consumer_lag_records")
	}
	if err := expect(1); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(gatherer(t, &lag{consumer: c.Consumer}), "metricstream_consumer_lag_seconds"); n != 4 || err != nil {
		t.Errorf("%d partitions have a lag in seconds, %v", n, err)
	}
	w.failWith(nil)
	eventually(t, "the lag is gone", func() bool { return expect(0) == nil })
}

func TestLagInSecondsBeforeTheFirstCommit(t *testing.T) {
	b := embeddedBackend(t)
	b.cfg.DrainTimeout = 0
	m := &sarama.ProducerMessage{Topic: b.cfg.Topic, Partition: 1, Timestamp: time.Now().Add(-time.Hour),
		Value: sarama.ByteEncoder((&record.Encoder{}).Append(nil, batchOf(1, 5)))}
	if _, _, err := b.log.Producer.SendMessage(m); err != nil {
		t.Fatal(err)
	}
	w := newTables()
	w.failWith(func(*store.Batch) error { return errors.New("away") })
	c := b.consume(t, w, nil)
	eventually(t, "the lag is an hour", func() bool {
		families, err := gatherer(t, &lag{consumer: c.Consumer}).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "metricstream_consumer_lag_seconds" && m.GetGauge().GetValue() >= 3600 {
					return true
				}
			}
		}
		return false
	})
}

func gatherer(t *testing.T, c prometheus.Collector) prometheus.Gatherer {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStopWritesWhatWasCollected(t *testing.T) {
	b := embeddedBackend(t)
	b.cfg.FlushAge = time.Minute
	w := newTables()
	c := b.consume(t, w, nil)
	eventually(t, "it consumes", func() bool { return claims(c) == 4 })
	want := b.write(t, b.producer(), 1, 3)
	eventually(t, "the records are collected", func() bool {
		c.collector.mu.Lock()
		defer c.collector.mu.Unlock()
		return len(c.collector.filling.records) == 12
	})
	if w.count() != 0 {
		t.Fatal("they are written already")
	}
	c.stop()
	if n := w.missing(want); n != 0 {
		t.Errorf("%d samples were collected and not written", n)
	}
	w2 := newTables()
	b.cfg.FlushAge = 10 * time.Millisecond
	b.consume(t, w2, nil)
	more := b.write(t, b.producer(), 100, 1)
	eventually(t, "new samples arrive", func() bool { return w2.missing(more) == 0 })
	if w2.count() != len(more) {
		t.Errorf("%d samples came, want the new %d: the others were committed", w2.count(), len(more))
	}
}

func TestDeadLettersAreTriedForEver(t *testing.T) {
	b := embeddedBackend(t)
	failing := &failingLetters{SyncProducer: b.log.DeadLetter}
	failing.left.Store(3)
	b.log.DeadLetter = failing
	offset := b.put(t, 1, []byte{1, 2, 3})
	want := b.write(t, b.producer(), 1, 1)
	w := newTables()
	c := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	checkLetter(t, c, 1, offset, record.ErrCorrupt.Error())
}

func TestALargeDeadLetterIsCutOff(t *testing.T) {
	b := embeddedBackend(t)
	b.cfg.MaxRecordBytes = 1000
	b.put(t, 1, append([]byte{1}, make([]byte, 5000)...))
	c := b.consume(t, newTables(), nil)
	eventually(t, "a dead letter", func() bool { return len(c.letters.all()) == 1 })
	letter := c.letters.all()[0]
	if n := letter.Value.Length(); n != 1000 {
		t.Errorf("it has %d bytes, want 1000", n)
	}
	if last := letter.Headers[len(letter.Headers)-1]; !strings.Contains(string(last.Value), "5001 bytes") {
		t.Errorf("its error is %q", last.Value)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	cfg := testConfig()
	log, err := OpenEmbedded(t.TempDir(), cfg, testLogger(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{cfg: cfg, log: log}
	want := b.write(t, b.producer(), 1, 3)
	w := newTables()
	c := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	c.stop()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, ignore)
}

type failingLetters struct {
	sarama.SyncProducer
	left atomic.Int32
}

func (l *failingLetters) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	if l.left.Add(-1) >= 0 {
		return -1, -1, sarama.ErrNotEnoughReplicas
	}
	return l.SyncProducer.SendMessage(m)
}

func TestHistogramsWeighByTheirSize(t *testing.T) {
	c := newCollector(100, time.Hour)
	b := &store.Batch{Histograms: []store.Histogram{{Blob: make([]byte, 3200)}}}
	m := &sarama.ConsumerMessage{Value: (&record.Encoder{}).Append(nil, b)}
	if err := c.add(context.Background(), &claim{}, m, nil, 0); err != nil {
		t.Fatal(err)
	}
	if p, _ := c.ready(time.Now()); p == nil {
		t.Error("a histogram of 3200 bytes does not fill a batch of 100 rows")
	}
}

func TestProgressNamesTheLatestSample(t *testing.T) {
	c := &Consumer{cfg: testConfig(), collector: newCollector(1, time.Hour)}
	of := &claim{partition: 3}
	step := func(offset, want int64, b *store.Batch) {
		t.Helper()
		m := &sarama.ConsumerMessage{Offset: offset, Value: (&record.Encoder{}).Append(nil, b)}
		if err := c.collector.add(context.Background(), of, m, nil, 0); err != nil {
			t.Fatal(err)
		}
		p, _ := c.collector.ready(time.Now())
		got := c.progressOf(p)
		c.collector.done(p)
		if len(got) != 1 || got[0] != (store.Progress{Topic: c.cfg.Topic, Partition: 3, NextOffset: offset + 1, MaxMs: want}) {
			t.Errorf("got %+v, want offset %d and time %d", got, offset+1, want)
		}
	}
	step(7, 0, &store.Batch{Metadata: []store.Metadata{{Name: "m"}}})
	step(8, 500, batchOf(2, 500))
	step(9, 500, batchOf(2, 400)) // late
	step(10, 900, &store.Batch{Histograms: []store.Histogram{{TimeMs: 900}}})
}

// TestKafkaKnowsNoTables keeps the joint: only cmd introduces the log to ClickHouse.
func TestKafkaKnowsNoTables(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "metricstream/store/clickhouse") {
			t.Errorf("%s imports package store/clickhouse", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
