package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// backend is a log that the suite runs against: a topic of its own for each test.
type backend struct {
	cfg Config
	log *Log

	// stop takes the log away, start brings it back with its data.
	stop  func()
	start func() *Log

	// recreate makes the topic again, without its records, under whoever uses it; where that cannot be, as with
	// the embedded log, nobody may.
	recreate func()

	// erased is what its consumers leave out.
	erased *Erased
}

// generation returns the topic's.
func (b *backend) generation(t *testing.T) string {
	t.Helper()
	g, err := b.log.Generation(t.Context())
	if err != nil || g == "" {
		t.Fatalf("the generation is %q, %v", g, err)
	}
	return g
}

func (b *backend) restart() {
	b.stop()
	b.log = b.start()
}

func (b *backend) producer() *Producer {
	return NewProducer(b.cfg, b.log.Producer, ProducerOptions{Partitions: b.log.Partitions, Topic: b.log})
}

// running is a consumer that runs.
type running struct {
	*Consumer
	letters *letters
	stop    func()
}

// letters passes dead letters on and remembers them.
type letters struct {
	sarama.SyncProducer
	mu   sync.Mutex
	sent []*sarama.ProducerMessage
}

func (l *letters) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	p, o, err := l.SyncProducer.SendMessage(m)
	if err == nil {
		l.mu.Lock()
		l.sent = append(l.sent, m)
		l.mu.Unlock()
	}
	return p, o, err
}

func (l *letters) all() []*sarama.ProducerMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*sarama.ProducerMessage(nil), l.sent...)
}

// consume starts a consumer. It is stopped with the test, or before by stop.
func (b *backend) consume(t *testing.T, w store.Writer, progress ProgressReader) *running {
	t.Helper()
	group, err := b.log.Group()
	if err != nil {
		t.Fatal(err)
	}
	l := &letters{SyncProducer: b.log.DeadLetter}
	c := NewConsumer(b.cfg, ConsumerOptions{
		Group: group, Topic: b.log, Writer: w, Progress: progress, Erased: b.erased, DeadLetter: l, Logger: testLogger(t), Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &running{Consumer: c, letters: l, stop: stop}
}

// write writes requests of 100 series at the times from, from+1, ... and returns their samples.
func (b *backend) write(t *testing.T, p *Producer, from, requests int) []sampleKey {
	t.Helper()
	var want []sampleKey
	for i := range requests {
		request := batchOf(100, int64(from+i))
		want = append(want, keysOf(request)...)
		if err := p.Write(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// testLog is the suite that every log passes.
func testLog(t *testing.T, open func(t *testing.T) *backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *backend)
	}{
		{"order in a partition, from the oldest", testOrder},
		{"acknowledged is durable", testDurable},
		{"offsets resume", testResume},
		{"tables that lost rows get them again", testRewind},
		{"tables restored under a consumer", testRestoredUnderAConsumer},
		{"tables that are ahead of the log skip nothing", testAhead},
		{"offsets that are ahead of the log skip nothing", testCommittedAhead},
		{"a topic that was made again is read from its beginning", testRecreated},
		{"tables restored after the topic was made again", testRestoredAfterRecreation},
		{"receipts say where the log ends", testEnds},
		{"rebalance loses nothing", testRebalance},
		{"revoke with a write in flight", testRevokeInFlight},
		{"a failing log fails the write", testProducerFailure},
		{"poison becomes a dead letter", testPoison},
		{"an unknown version stops its partition only", testUnknownVersion},
		{"nothing is committed before the writer returned nil", testCommitAfterWrite},
		{"unavailable tables are tried for ever", testRetry},
		{"a refused record becomes a dead letter", testInvalid},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func testOrder(t *testing.T, b *backend) {
	want := b.write(t, b.producer(), 1, 50)
	w := newTables()
	b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.series) != 100 {
		t.Errorf("%d label sets arrived, want 100", len(w.series))
	}
	for k, times := range w.order {
		for i, at := range times {
			if at != int64(i+1) {
				t.Fatalf("series %v: sample %d has time %d: %v", k, i, at, times)
			}
		}
	}
}

func testDurable(t *testing.T, b *backend) {
	want := b.write(t, b.producer(), 1, 20)
	b.restart()
	want = append(want, b.write(t, b.producer(), 100, 1)...)
	w := newTables()
	b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
}

func testResume(t *testing.T, b *backend) {
	first := b.write(t, b.producer(), 1, 10)
	w1 := newTables()
	c := b.consume(t, w1, nil)
	eventually(t, "the first samples arrive", func() bool { return w1.missing(first) == 0 })
	c.stop()
	b.restart()
	second := b.write(t, b.producer(), 100, 10)
	w2 := newTables()
	b.consume(t, w2, nil)
	eventually(t, "the later samples arrive", func() bool { return w2.missing(second) == 0 })
	if n := len(first) - w2.missing(first); n > 0 {
		t.Errorf("%d samples that were committed came again", n)
	}
}

func testRewind(t *testing.T, b *backend) {
	want := b.write(t, b.producer(), 1, 10)
	w1 := newTables()
	c := b.consume(t, w1, w1)
	eventually(t, "all samples arrive", func() bool { return w1.missing(want) == 0 })
	c.stop()
	restored := newTables()
	restored.of = w1.of // the tables of yesterday: some partitions have something, others nothing
	for p := range w1.progress {
		if p%2 == 0 {
			restored.progress[p] = 4
		}
	}
	c = b.consume(t, restored, restored)
	even := func(k sampleKey) bool { return k.key.Partition(b.log.Partitions)%2 == 0 }
	var lost []sampleKey
	for _, k := range want {
		if !even(k) || k.timeMs > 4 {
			lost = append(lost, k)
		}
	}
	eventually(t, "what the tables lack arrives", func() bool { return restored.missing(lost) == 0 })
	if restored.count() != len(lost) {
		t.Errorf("%d samples arrived, want the %d that were lost", restored.count(), len(lost))
	}
	c.stop()
	again := newTables()
	b.consume(t, again, restored)
	more := b.write(t, b.producer(), 100, 1)
	eventually(t, "new samples arrive", func() bool { return again.missing(more) == 0 })
	if again.count() != len(more) {
		t.Errorf("%d samples arrived after the rewind was over, want %d", again.count(), len(more))
	}
}

// testAhead guards against offsets that survive what they describe: the log was lost, the tables know offsets of
// the old one, which in the new are other records or none.
func testAhead(t *testing.T, b *backend) {
	old := newTables()
	old.of = b.generation(t)
	for p := range b.log.Partitions {
		old.progress[int32(p)] = []int64{4, 1000}[p%2]
	}
	want := b.write(t, b.producer(), 1, 10)
	w := newTables()
	c := b.consume(t, w, old)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	c.stop()
	more := b.write(t, b.producer(), 100, 10)
	b.consume(t, w, old)
	eventually(t, "later samples arrive", func() bool { return w.missing(more) == 0 })
}

// testCommittedAhead guards against the same with committed offsets: a broker lost the end of a partition that had
// been consumed. New records take the lost ones' offsets, and must not be skipped when they have passed the commit.
func testCommittedAhead(t *testing.T, b *backend) {
	group, err := b.log.Group()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := group.Consume(ctx, []string{b.cfg.Topic}, committer{b, 15, cancel}); err != nil {
		t.Fatal(err)
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	tables := newTables()
	tables.of = b.generation(t)
	for p := range b.log.Partitions {
		tables.progress[int32(p)] = 15
	}
	want := b.write(t, b.producer(), 1, 10) // a record in each partition
	w := newTables()
	c := b.consume(t, w, tables)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	c.stop()
	more := b.write(t, b.producer(), 100, 10)
	b.consume(t, w, tables)
	eventually(t, "what was written meanwhile arrives", func() bool { return w.missing(more) == 0 })
}

// committer commits an offset of all partitions and ends.
type committer struct {
	*backend
	offset int64
	done   func()
}

func (c committer) Setup(s sarama.ConsumerGroupSession) error {
	for p := range c.log.Partitions {
		s.MarkOffset(c.cfg.Topic, int32(p), c.offset, "")
	}
	s.Commit()
	c.done()
	return nil
}

func (committer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (committer) ConsumeClaim(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) error {
	return nil
}

func testRebalance(t *testing.T, b *backend) {
	w := newTables()
	p := b.producer()
	var want []sampleKey
	writing, stopWriting := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := int64(1); writing.Err() == nil; i++ {
			request := batchOf(100, i)
			if err := p.Write(context.Background(), request); err != nil {
				t.Error(err)
				return
			}
			want = append(want, keysOf(request)...)
			time.Sleep(time.Millisecond) // leave the processors to the consumers
		}
	}()
	a := b.consume(t, w, w)
	eventually(t, "a consumes", func() bool { return w.count() > 500 })
	second := b.consume(t, w, w)
	eventually(t, "both have partitions", func() bool {
		return claims(a) > 0 && claims(second) > 0 && claims(a)+claims(second) == b.log.Partitions
	})
	a.stop()
	eventually(t, "the second has all", func() bool { return claims(second) == b.log.Partitions })
	third := b.consume(t, w, w)
	eventually(t, "the third has some", func() bool { return claims(third) > 0 })
	stopWriting()
	<-done
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
}

func claims(c *running) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.Consumer.claims)
}

func testRevokeInFlight(t *testing.T, b *backend) {
	w := newTables()
	entered, release := make(chan struct{}, 100), make(chan struct{})
	w.failWith(func(*store.Batch) error { entered <- struct{}{}; <-release; return nil })
	p := b.producer()
	want := b.write(t, p, 1, 5)
	a := b.consume(t, w, nil)
	<-entered // a's write is in flight
	want = append(want, b.write(t, p, 100, 5)...)
	w2 := newTables()
	second := b.consume(t, w2, nil)
	time.Sleep(200 * time.Millisecond) // not for correctness: gives the rebalance time to begin
	w.failWith(nil)
	close(release)
	eventually(t, "the second has partitions", func() bool { return claims(second) > 0 })
	want = append(want, b.write(t, p, 200, 5)...)
	eventually(t, "all samples arrive at one or the other", func() bool {
		n := 0
		for _, k := range want {
			if w.missing([]sampleKey{k}) == 1 && w2.missing([]sampleKey{k}) == 1 {
				n++
			}
		}
		return n == 0
	})
	a.stop()
}

func testProducerFailure(t *testing.T, b *backend) {
	p := b.producer()
	first := b.write(t, p, 1, 1)
	b.stop()
	err := p.Write(t.Context(), batchOf(200, 2))
	if err == nil {
		t.Fatal("a write without a log succeeded")
	}
	if store.KindOf(err) != store.KindUnavailable {
		t.Errorf("the error is of kind %v: %v", store.KindOf(err), err)
	}
	b.log = b.start()
	p.log = b.log.Producer // the same producer, as with a broker that comes back
	request := batchOf(200, 3)
	want := append(keysOf(request), first...)
	eventually(t, "it writes again", func() bool { return p.Write(t.Context(), request) == nil }) // as senders try
	w := newTables()
	b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.series) != 200 {
		t.Errorf("%d label sets arrived, want 200: those of the failed write must travel again", len(w.series))
	}
}

// put sends raw bytes as a record of a partition.
func (b *backend) put(t *testing.T, partition int32, value []byte) int64 {
	t.Helper()
	_, offset, err := b.log.Producer.SendMessage(&sarama.ProducerMessage{Topic: b.cfg.Topic, Partition: partition, Value: sarama.ByteEncoder(value)})
	if err != nil {
		t.Fatal(err)
	}
	return offset
}

func testPoison(t *testing.T, b *backend) {
	p := b.producer()
	want := b.write(t, p, 1, 2)
	offset := b.put(t, 1, []byte{1, 255, 255, 255})
	want = append(want, b.write(t, p, 10, 2)...)
	w := newTables()
	c := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	checkLetter(t, c, 1, offset, record.ErrCorrupt.Error())
	c.stop()
	w2 := newTables()
	c = b.consume(t, w2, w)
	more := b.write(t, p, 20, 1)
	eventually(t, "new samples arrive", func() bool { return w2.missing(more) == 0 })
	if n := len(c.letters.all()); n != 0 {
		t.Errorf("%d dead letters again", n)
	}
}

func checkLetter(t *testing.T, c *running, partition int32, offset int64, cause string) {
	t.Helper()
	eventually(t, "a dead letter", func() bool { return len(c.letters.all()) > 0 })
	all := c.letters.all()
	if len(all) != 1 {
		t.Fatalf("%d dead letters, want 1", len(all))
	}
	got := map[string]string{}
	for _, h := range all[0].Headers {
		got[string(h.Key)] = string(h.Value)
	}
	if got[HeaderTopic] != c.cfg.Topic || got[HeaderPartition] != strconv.Itoa(int(partition)) || got[HeaderOffset] != fmt.Sprint(offset) {
		t.Errorf("the dead letter's headers are %v, want partition %d, offset %d", got, partition, offset)
	}
	if len(got[HeaderError]) < len(cause) {
		t.Errorf("the dead letter's error is %q, want one with %q", got[HeaderError], cause)
	}
	if n := testutil.ToFloat64(c.metrics.deadLetters); n != 1 {
		t.Errorf("the metric counts %v dead letters", n)
	}
}

func testUnknownVersion(t *testing.T, b *backend) {
	p := b.producer()
	want := b.write(t, p, 1, 2)
	b.put(t, 1, []byte{99, 1, 2, 3})
	after := b.write(t, p, 10, 2)
	w := newTables()
	c := b.consume(t, w, w)
	for _, k := range after {
		if k.key.Partition(b.log.Partitions) != 1 {
			want = append(want, k)
		}
	}
	eventually(t, "all samples arrive but those behind the record", func() bool { return w.missing(want) == 0 })
	eventually(t, "the metric says so", func() bool { return testutil.ToFloat64(c.metrics.stopped.WithLabelValues("1")) == 1 })
	c.stop()
	if w.count() != len(want) {
		t.Errorf("%d samples arrived, want %d: those behind the record must wait", w.count(), len(want))
	}
	if n := len(c.letters.all()); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}

func testCommitAfterWrite(t *testing.T, b *backend) {
	b.cfg.DrainTimeout = 50 * time.Millisecond
	want := b.write(t, b.producer(), 1, 5)
	w := newTables()
	var tries atomic.Int32
	w.failWith(func(*store.Batch) error { tries.Add(1); return errors.New("out of order") })
	c := b.consume(t, w, nil)
	eventually(t, "several attempts", func() bool { return tries.Load() > 2 })
	c.stop()
	w2 := newTables()
	b.consume(t, w2, nil)
	eventually(t, "all samples arrive", func() bool { return w2.missing(want) == 0 })
}

func testRetry(t *testing.T, b *backend) {
	b.cfg.FlushRows = 150 // so that both batches fill up and reading has to wait
	want := b.write(t, b.producer(), 1, 20)
	w := newTables()
	var tries atomic.Int32
	w.failWith(func(*store.Batch) error {
		if tries.Add(1) < 5 {
			return errors.New("out of order")
		}
		return nil
	})
	c := b.consume(t, w, nil)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	if n := testutil.ToFloat64(c.metrics.retries); n != 4 {
		t.Errorf("the metric counts %v retries, want 4", n)
	}
	if n := len(c.letters.all()); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}

func testInvalid(t *testing.T, b *backend) {
	p := b.producer()
	want := b.write(t, p, 1, 3)
	bad := &store.Batch{}
	key := store.Key{Metric: 1, ID: uint64(2 * b.log.Partitions)} // partition 0
	bad.Samples.Append(key, 666, store.Decimal{Mant: 1})
	if err := p.Write(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	want = append(want, b.write(t, p, 10, 3)...)
	w := newTables()
	w.failWith(func(batch *store.Batch) error {
		for _, at := range batch.Samples.TimesMs {
			if at == 666 {
				return store.Invalidf("cannot store time 666")
			}
		}
		return nil
	})
	c := b.consume(t, w, w)
	eventually(t, "all other samples arrive", func() bool { return w.missing(want) == 0 })
	checkLetter(t, c, 0, 3, "cannot store time 666")
}
