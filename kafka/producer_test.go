package kafka

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// fakeLog is a producer that keeps copies of what it is sent, and fails the partitions of fail.
type fakeLog struct {
	sarama.SyncProducer
	keep bool

	mu   sync.Mutex
	sent []sarama.ProducerMessage
	fail map[int32]bool
}

func (l *fakeLog) SendMessages(ms []*sarama.ProducerMessage) error {
	if !l.keep {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs sarama.ProducerErrors
	for _, m := range ms {
		if l.fail[m.Partition] {
			errs = append(errs, &sarama.ProducerError{Msg: m, Err: sarama.ErrNotEnoughReplicas})
			continue
		}
		sent := *m
		value, _ := m.Value.Encode()
		sent.Value = sarama.ByteEncoder(append([]byte(nil), value...)) // the producer takes its memory back
		l.sent = append(l.sent, sent)
	}
	if errs != nil {
		return errs
	}
	return nil
}

// take returns what was sent since it was last called, by partition.
func (l *fakeLog) take(t *testing.T) map[int32]*store.Batch {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got := map[int32]*store.Batch{}
	var d record.Decoder
	for _, m := range l.sent {
		if got[m.Partition] == nil {
			got[m.Partition] = &store.Batch{}
		}
		if err := d.Decode(got[m.Partition], m.Value.(sarama.ByteEncoder)); err != nil {
			t.Fatal(err)
		}
	}
	l.sent = nil
	return got
}

func merge(parts map[int32]*store.Batch) *store.Batch {
	all := &store.Batch{}
	for _, b := range parts {
		all.Series = append(all.Series, b.Series...)
		for i, id := range b.Samples.IDs {
			all.Samples.Append(store.Key{Metric: b.Samples.Metrics[i], ID: id}, b.Samples.TimesMs[i], store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]})
		}
		all.Starts = append(all.Starts, b.Starts...)
		all.Histograms = append(all.Histograms, b.Histograms...)
		all.Exemplars = append(all.Exemplars, b.Exemplars...)
		all.Metadata = append(all.Metadata, b.Metadata...)
	}
	return all
}

// clock is a clock that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newTestProducer(log sarama.SyncProducer, partitions int) (*Producer, *clock) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	return NewProducer(DefaultConfig(), log, ProducerOptions{Partitions: partitions, Now: c.Now, Registerer: prometheus.NewRegistry()}), c
}

func full() *store.Batch {
	b := batchOf(50, 1000)
	for i := range b.Series {
		k := b.Series[i].Key
		b.Starts = append(b.Starts, store.Start{Key: k, TimeMs: 1000, StartMs: int64(i)})
		b.Histograms = append(b.Histograms, store.Histogram{Key: k, TimeMs: int64(i), Blob: []byte("blob")})
		b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: int64(i), Labels: labels.FromStrings("trace_id", "1")})
		b.Metadata = append(b.Metadata, store.Metadata{Tenant: "t", Name: fmt.Sprint("metric_", i), Type: "gauge"})
	}
	return b
}

var anyOrder = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b labels.Labels) bool { return labels.Equal(a, b) }),
	cmpopts.SortSlices(func(a, b store.Series) bool { return a.Key.Compare(b.Key) < 0 }),
	cmpopts.SortSlices(func(a, b store.Start) bool { return a.StartMs < b.StartMs }),
	cmpopts.SortSlices(func(a, b store.Histogram) bool { return a.TimeMs < b.TimeMs }),
	cmpopts.SortSlices(func(a, b store.Exemplar) bool { return a.TimeMs < b.TimeMs }),
	cmpopts.SortSlices(func(a, b store.Metadata) bool { return a.Name < b.Name }),
	cmp.Comparer(func(a, b store.Samples) bool {
		return cmp.Equal(keysOf(&store.Batch{Samples: a}), keysOf(&store.Batch{Samples: b}),
			cmp.AllowUnexported(sampleKey{}), cmpopts.SortSlices(func(a, b sampleKey) bool { return a.key.Compare(b.key) < 0 }))
	}),
}

func TestEveryRowReachesThePartitionOfItsKey(t *testing.T) {
	log := &fakeLog{keep: true}
	p, _ := newTestProducer(log, 7)
	if err := p.Write(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	parts := log.take(t)
	for n, b := range parts {
		for i := range b.Histograms {
			if want := b.Histograms[i].Key.Partition(7); want != int(n) {
				t.Errorf("a histogram of partition %d is in %d", want, n)
			}
		}
		for _, k := range keysOf(b) {
			if want := k.key.Partition(7); want != int(n) {
				t.Errorf("a sample of partition %d is in %d", want, n)
			}
		}
	}
	if diff := cmp.Diff(full(), merge(parts), anyOrder); diff != "" {
		t.Error(diff)
	}
}

func TestLabelSetsTravelOnceAnHour(t *testing.T) {
	log := &fakeLog{keep: true}
	p, clock := newTestProducer(log, 3)
	const day = 24 * 60 * 60 * 1000
	announced := func(timeMs int64) int {
		t.Helper()
		if err := p.Write(t.Context(), batchOf(100, timeMs)); err != nil {
			t.Fatal(err)
		}
		return len(merge(log.take(t)).Series)
	}
	for i, step := range []struct {
		after  time.Duration
		timeMs int64
		want   int
	}{
		{0, 10*day + 5, 100},
		{time.Minute, 10*day + 6, 0},
		{0, 11 * day, 100},              // the next day
		{0, 10 * day, 0},                // both are known now
		{0, 11*day + day - 1, 0},        // to the end of the day
		{0, 20 * day, 100},              // another day far away takes their place
		{0, 11 * day, 100},              // and they its
		{0, -1, 100},                    // before 1970
		{0, -day, 0},                    //
		{44 * time.Minute, -2, 0},       // three quarters of an hour hold
		{15 * time.Minute, -2, -1},      // some are due
		{time.Minute, -2, -1},           // and the others soon
		{59*time.Minute + 59e9, -2, -1}, //
		{time.Hour, -2, 100},            // after an hour, all
	} {
		clock.now = clock.now.Add(step.after)
		if got := announced(step.timeMs); step.want >= 0 && got != step.want {
			t.Errorf("step %d: %d label sets travelled, want %d", i, got, step.want)
		}
	}
	other, _ := newTestProducer(log, 3) // as after a restart
	if err := other.Write(t.Context(), batchOf(100, 1)); err != nil {
		t.Fatal(err)
	}
	if n := len(merge(log.take(t)).Series); n != 100 {
		t.Errorf("%d label sets travelled after a restart, want 100", n)
	}
}

// TestANewKindOfPointIsAnnounced guards that readers learn of a series' first histogram within the hour, and that
// what they know is not sent again.
func TestANewKindOfPointIsAnnounced(t *testing.T) {
	a := newAnnouncements(1, 1000, time.Hour)
	now := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		has  store.Has
		sent bool
	}{
		{0, true}, {0, false}, {store.HasHistograms, true}, {0, false}, {store.HasHistograms, false},
		{store.HasHistograms | store.HasStarts, true}, {store.HasStarts, false},
	} {
		due := a.due(0, []store.Series{{Key: store.Key{ID: 1}, Has: step.has}}, now)
		if sent := len(due) == 1; sent != step.sent {
			t.Fatalf("a series with %b: sent %v, want %v", step.has, sent, step.sent)
		}
		a.sent(0, due, now)
	}
}

func TestOnlyAcknowledgedLabelSetsAreRemembered(t *testing.T) {
	log := &fakeLog{keep: true, fail: map[int32]bool{1: true}}
	p, _ := newTestProducer(log, 3)
	err := p.Write(t.Context(), batchOf(100, 1))
	if !errors.Is(err, sarama.ErrNotEnoughReplicas) || store.KindOf(err) != store.KindUnavailable {
		t.Fatalf("got %v, want the partition's error", err)
	}
	if n := testutil.ToFloat64(p.metrics.failures); n != 1 {
		t.Errorf("the metric counts %v failures", n)
	}
	log.take(t)
	log.fail = nil
	if err := p.Write(t.Context(), batchOf(100, 1)); err != nil {
		t.Fatal(err)
	}
	for n, b := range log.take(t) {
		if want := map[bool]int{true: b.Samples.Len(), false: 0}[n == 1]; len(b.Series) != want {
			t.Errorf("partition %d: %d label sets travelled again, want %d", n, len(b.Series), want)
		}
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	log := &fakeLog{keep: true}
	p, _ := newTestProducer(log, 1)
	p.cfg.MaxRecordBytes = 1000
	if err := p.Write(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	if len(log.sent) < 5 {
		t.Errorf("%d records", len(log.sent))
	}
	for _, m := range log.sent {
		if n := m.Value.Length(); n > 1000 {
			t.Errorf("a record has %d bytes", n)
		}
	}
	if diff := cmp.Diff(full(), merge(log.take(t)), anyOrder); diff != "" {
		t.Error(diff)
	}
	// A sender must not be told to try again what can never be accepted.
	long := &store.Batch{Metadata: []store.Metadata{{Tenant: "t", Name: "m", Help: strings.Repeat("x", 1000)}}}
	if err := p.Write(t.Context(), long); store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "kafka.max_record_bytes") {
		t.Errorf("got %v, want an error for good that names the key", err)
	}
}

func TestRememberedSeriesAreBounded(t *testing.T) {
	a := newAnnouncements(1, 1000, time.Hour)
	now := time.Unix(1_700_000_000, 0)
	hot := []store.Series{{Key: store.Key{ID: 1}}}
	a.sent(0, hot, now)
	for i := range uint64(10_000) {
		a.sent(0, []store.Series{{Key: store.Key{ID: 100 + i}}}, now)
		if n := len(a.due(0, append([]store.Series(nil), hot...), now)); n != 0 {
			t.Fatalf("a series that is in use was forgotten after %d others", i)
		}
	}
	if n := a.count(); n > 1000 {
		t.Errorf("%d series are remembered, at most 1000 should be", n)
	}
}

func TestProducerAllocatesNothingPerSample(t *testing.T) {
	p, _ := newTestProducer(&fakeLog{}, 4)
	b := batchOf(2000, 1)
	allocs := testing.AllocsPerRun(20, func() {
		if err := p.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 200 { // under the race detector a pool forgets at random
		t.Errorf("%v allocations for 2000 samples", allocs)
	}
}
