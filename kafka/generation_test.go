package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/store"
)

// testRecreated guards against offsets of a former topic: it had more records than the next one, and tables and group
// know its offsets.
func testRecreated(t *testing.T, b *backend) {
	first := b.generation(t)
	w := newTables()
	want := b.write(t, b.producer(), 1, 30)
	c := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	c.stop()
	b.recreate()
	if second := b.generation(t); second == first {
		t.Fatalf("the generation is %q as before", second)
	}
	b.commitElsewhere(t, 7)
	p := b.producer()
	fewer := b.write(t, p, 100, 10)
	c = b.consume(t, w, w)
	eventually(t, "what is in the next topic arrives", func() bool { return w.missing(fewer) == 0 })
	eventually(t, "all is committed", func() bool { return claims(c) == b.log.Partitions && lagOf(c) == 0 })
	c.stop()

	fresh := newTables()
	b.consume(t, fresh, w)
	more := b.write(t, p, 200, 10)
	eventually(t, "later samples arrive", func() bool { return fresh.missing(more) == 0 })
	if fresh.count() != len(more) {
		t.Errorf("%d samples came, want the %d that were not committed", fresh.count(), len(more))
	}
}

// commitElsewhere commits an offset in the next topic that is one of the former, as a consumer does that has not noticed
// yet; Kafka itself forgets a group's offsets with the topic. An embedded log has its commits in its folder.
func (b *backend) commitElsewhere(t *testing.T, offset int64) {
	t.Helper()
	if len(b.cfg.Brokers) == 0 {
		return
	}
	group, err := b.log.Group()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := group.Consume(ctx, []string{b.cfg.Topic}, committer{b, offset, cancel}); err != nil {
		t.Fatal(err)
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
}

// testRestoredAfterRecreation restores the tables of before: they know the former topic's offsets, and some of this
// one's.
func testRestoredAfterRecreation(t *testing.T, b *backend) {
	old := newTables()
	b.write(t, b.producer(), 1, 30)
	c := b.consume(t, old, old)
	eventually(t, "all is committed", func() bool { return claims(c) == b.log.Partitions && lagOf(c) == 0 })
	c.stop()
	b.recreate()
	want := b.write(t, b.producer(), 100, 10)
	w := newTables()
	c = b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	c.stop()

	restored := newTables() // of before the topic was made again
	restored.of, restored.progress = old.of, old.progress
	c = b.consume(t, restored, restored)
	eventually(t, "all samples of the topic arrive again", func() bool { return restored.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	c.stop()

	restored = newTables() // of a little later
	restored.of = b.generation(t)
	for p := range b.log.Partitions {
		restored.progress[int32(p)] = 4
	}
	b.consume(t, restored, restored)
	eventually(t, "what the tables lack arrives", func() bool { return restored.count() >= len(want)*6/10 })
	for k := range restored.samples {
		if k.timeMs < 104 {
			t.Errorf("a sample of time %d came again that the tables had", k.timeMs)
		}
	}
}

// testRecreatedUnderAConsumer makes the topic again while a consumer and a producer run that have it open.
func testRecreatedUnderAConsumer(t *testing.T, b *backend) {
	w := newTables()
	p := b.producer()
	want := b.write(t, p, 1, 30)
	c := b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	first := b.generation(t)
	b.recreate()
	var more []sampleKey
	for i := range 50 { // more than before: a consumer that goes on at offset 30 finds something there
		request := batchOf(100, int64(1000+i))
		eventually(t, "the producer writes again", func() bool { return p.Write(t.Context(), request) == nil })
		more = append(more, keysOf(request)...)
	}
	eventually(t, "all samples arrive", func() bool { return w.missing(more) == 0 })
	eventually(t, "the consumer knows of the new topic", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.of == b.generation(t) && w.of != first
	})
	w.forget()
	p.generation.at = time.Time{} // what was asked is too old
	late := batchOf(100, 2000)
	if err := p.Write(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late samples arrive", func() bool { return w.missing(keysOf(late)) == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.series) != 0 && len(w.series) != 100 {
		t.Errorf("%d label sets came, want all or, where they came before, none", len(w.series))
	}
}

// topicFake is a TopicReader.
type topicFake struct {
	generation string
	err        error
}

func (f *topicFake) Generation(context.Context) (string, error) { return f.generation, f.err }

func TestAProducerAnnouncesAgainInANewTopic(t *testing.T) {
	topic := &topicFake{}
	log := &fakeLog{keep: true}
	now := time.Now()
	p := NewProducer(testConfig(), log, ProducerOptions{Partitions: 4, Topic: topic, Now: func() time.Time { return now }})
	for i, step := range []struct {
		generation string
		err        error
		later      time.Duration
		want       int
	}{
		{"", errors.New("away"), 0, 40}, {"", errors.New("away"), 0, 0}, // into who knows what topic
		{"a", nil, 0, 40}, {"a", nil, generationAge, 0}, {"b", nil, 0, 0}, {"b", nil, generationAge, 40},
		{"b", nil, generationAge, 0}, {"c", errors.New("away"), generationAge, 0}, {"c", nil, 0, 40}, {"c", nil, 0, 0},
	} {
		now = now.Add(step.later)
		topic.generation, topic.err = step.generation, step.err
		if err := p.Write(t.Context(), batchOf(40, 1)); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, b := range log.take(t) {
			got += len(b.Series)
		}
		if got != step.want {
			t.Errorf("step %d: %d label sets travelled, want %d", i, got, step.want)
		}
	}
}

// testEnds compares what writes say with where the log ends.
func testEnds(t *testing.T, b *backend) {
	tails := []interface {
		Ends(context.Context) (Ends, error)
	}{b.log}
	if len(b.cfg.Brokers) > 0 {
		tail := NewTail(b.cfg)
		defer tail.Close()
		tails = append(tails, tail)
	}
	p := b.producer()
	want := Ends{Generation: b.generation(t), Next: map[int32]int64{}}
	for n := range 4 {
		for _, tail := range tails {
			got, err := tail.Ends(t.Context())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("after %d writes: %v %s", n, err, diff)
			}
		}
		var r store.Receipt
		if err := p.Write(store.WithReceipt(t.Context(), &r), batchOf([]int{1, 100, 2, 0}[n], int64(n+1))); err != nil {
			t.Fatal(err)
		}
		if len(r.Offsets) > 0 && r.Generation != want.Generation {
			t.Errorf("the receipt is of generation %q, want %q", r.Generation, want.Generation)
		}
		for _, o := range r.Offsets {
			want.Next[o.Partition] = o.Offset + 1
		}
	}
}

func TestReceipt(t *testing.T) {
	b := embeddedBackend(t)
	p := b.producer()
	var r store.Receipt
	for i := range int64(3) {
		if err := p.Write(store.WithReceipt(t.Context(), &r), batchOf(100, i+1)); err != nil {
			t.Fatal(err)
		}
		want := store.Receipt{Generation: b.generation(t)}
		for partition := range int32(4) {
			want.Offsets = append(want.Offsets, store.PartitionOffset{Partition: partition, Offset: i})
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
	}
	b.cfg.MaxRecordBytes = 1000 // several records for a partition
	if err := b.producer().Write(store.WithReceipt(t.Context(), &r), batchOf(100, 10)); err != nil {
		t.Fatal(err)
	}
	ends, err := b.log.Ends(t.Context())
	if err != nil || ends.Generation != r.Generation || len(ends.Next) != 4 {
		t.Fatalf("the log ends at %+v, %v", ends, err)
	}
	for _, o := range r.Offsets {
		if ends.Next[o.Partition] != o.Offset+1 || o.Offset < 3 || o.Partition == 0 && o.Offset < 4 {
			t.Errorf("partition %d: the receipt says %d, the log ends at %d", o.Partition, o.Offset, ends.Next[o.Partition])
		}
	}
	var none store.Receipt
	if err := p.Write(store.WithReceipt(t.Context(), &none), &store.Batch{}); err != nil || none.String() != "" {
		t.Errorf("nothing has the receipt %s, %v", none.String(), err)
	}
}
