package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
)

func TestEmbeddedReplay(t *testing.T) {
	t.Parallel()
	testReplay(t, testConfig(), t.TempDir())
}

func TestApacheKafkaReplay(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Brokers = []string{testenv.StartKafka(t).Address}
	testReplay(t, cfg, "")
}

// testReplay replays a log whole, in parts, and around what cannot be replayed.
func testReplay(t *testing.T, cfg Config, dir string) {
	log, err := Open(t.Context(), cfg, dir, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{cfg: cfg, log: log}
	p := b.producer()
	all := b.write(t, p, 1, 20)
	if _, _, err := log.Producer.SendMessage(&sarama.ProducerMessage{Topic: cfg.Topic, Partition: 1, Value: sarama.StringEncoder("\x01garbage")}); err != nil {
		t.Fatal(err)
	}
	refused := batchOf(1, 666)
	if err := p.Write(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	all = append(all, b.write(t, p, 1000, 20)...)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.FlushRows = 100 // several writes
	a, err := OpenArchive(t.Context(), cfg, dir, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	span := spanOf(t, a, "oldest", "newest")

	w := newTables()
	w.failWith(refuse(666))
	done, err := a.Replay(t.Context(), span, w, testLogger(t), func(ReplayProgress) error { return nil })
	if err != nil || w.missing(all) > 0 || w.count() != len(all) || done.Rest.Records() != 0 || done.Unreadable != 1 || done.Refused != 1 {
		t.Fatalf("whole: %+v, %v, %d of %d samples are missing", done, err, w.missing(all), len(all))
	}
	if len(w.progress) > 0 {
		t.Errorf("the replay says how far the tables are: %v", w.progress)
	}

	// Ended in the middle, it goes on where it says, and nothing is left out.
	w = newTables()
	w.failWith(refuse(666))
	parts := 0
	for rest := span; rest.Records() > 0; parts++ {
		ctx, cancel := context.WithCancel(t.Context())
		done, err := a.Replay(ctx, rest, w, testLogger(t), func(p ReplayProgress) error { cancel(); return nil })
		cancel()
		if err == nil && done.Rest.Records() > 0 || err != nil && done.Rest.Records() >= rest.Records() {
			t.Fatalf("part %d: %v, %s of %s is left", parts, err, done.Rest.Flags(), rest.Flags())
		}
		if rest = done.Rest; rest.Records() > 0 {
			rest = spanOf(t, a, rest.list(rest.From), rest.list(rest.To))
		}
	}
	if w.missing(all) > 0 || parts < 3 {
		t.Errorf("in %d parts: %d samples are missing", parts, w.missing(all))
	}
}

func refuse(timeMs int64) func(*store.Batch) error {
	return func(b *store.Batch) error {
		for _, at := range b.Samples.TimesMs {
			if at == timeMs {
				return store.Invalidf("no sample of %d", timeMs)
			}
		}
		return nil
	}
}

func spanOf(t *testing.T, a *Archive, from, to string) Span {
	t.Helper()
	var at [2]Position
	for i, s := range []string{from, to} {
		var err error
		if at[i], err = ParsePosition(s, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	span, err := a.Span(at[0], at[1])
	if err != nil {
		t.Fatal(err)
	}
	return span
}

func TestParsePosition(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	for s, want := range map[string]Position{
		"oldest": {}, "newest": {newest: true}, "6h": {at: now.Add(-6 * time.Hour)},
		"2026-01-02T03:04:05Z": {at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		"0:1200,3:77":          {offsets: map[int32]int64{0: 1200, 3: 77}},
	} {
		if got, err := ParsePosition(s, now); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "yesterday", "5", "1:", ":1", "1:x", "-1:5", "1:-5", "1:2,"} {
		if got, err := ParsePosition(s, now); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
