package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// erasures is a list in memory.
type erasures struct {
	mu      sync.Mutex
	entries []list.Entry
	away    bool
	loads   atomic.Int32
	settled atomic.Bool
}

func (e *erasures) Erasures(context.Context) ([]list.Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return nil, errors.New("the database is away")
	}
	var out []list.Entry
	for _, entry := range e.entries {
		entry.Keys, entry.Gone = nil, nil
		out = append(out, entry)
	}
	return out, nil
}

func (e *erasures) Load(_ context.Context, entry *list.Entry) error {
	e.loads.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, known := range e.entries {
		if known.ID == entry.ID {
			entry.Keys, entry.Gone = known.Keys, known.Gone
		}
	}
	return nil
}

func (e *erasures) Report(_ context.Context, settled bool) error {
	e.settled.Store(settled)
	return nil
}

func (e *erasures) Leave(context.Context) error { return nil }

func (e *erasures) set(away bool, entries ...list.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away, e.entries = away, entries
}

// listed returns a list that is kept fresh until the test ends.
func (e *erasures) listed(t *testing.T) *Erased {
	t.Helper()
	erased := NewErased(e, testLogger(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- erased.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return erased
}

// firstSeries are the series 0 to 9 of batchOf.
func firstSeries() *list.Keys {
	var keys []store.Key
	for _, s := range batchOf(10, 0).Series {
		keys = append(keys, s.Key)
	}
	return list.NewKeys(keys)
}

// split tells samples of erased series from the others.
func splitErased(keys *list.Keys, samples []sampleKey) (erased, others []sampleKey) {
	for _, s := range samples {
		if keys.Has(s.key) {
			erased = append(erased, s)
		} else {
			others = append(others, s)
		}
	}
	return erased, others
}

// entryNow is an erasure of what the log has now.
func (b *backend) entryNow(t *testing.T, id string, keys *list.Keys) list.Entry {
	t.Helper()
	ends, err := b.log.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Entry{ID: id, Version: "1", Tenant: "t", Generation: ends.Generation, Ends: ends.Next, NotedMs: time.Now().UnixMilli(), Range: list.All(), Keys: keys, Gone: keys}
}

// TestErasedSamplesAreNotReadAgain reads a log from its beginning into empty tables.
func TestErasedSamplesAreNotReadAgain(t *testing.T) {
	t.Parallel()
	b := embeddedBackend(t)
	p := b.producer()
	before := b.write(t, p, 1, 10)
	keys := firstSeries()
	source := &erasures{}
	source.set(true, b.entryNow(t, "x", keys))
	after := b.write(t, p, 100, 5) // the label sets do not travel again
	gone, stay := splitErased(keys, before)

	b.erased = source.listed(t)
	w := newTables()
	c := b.consume(t, w, w)
	eventually(t, "the list is asked for", func() bool { source.mu.Lock(); defer source.mu.Unlock(); return true })
	time.Sleep(50 * time.Millisecond)
	if w.count() > 0 {
		t.Error("the log was read before the list was known")
	}
	source.set(false, source.entries...)
	eventually(t, "the others arrive", func() bool { return w.missing(stay) == 0 && w.missing(after) == 0 })
	if w.missing(gone) != len(gone) {
		t.Errorf("%d of %d erased samples came back", len(gone)-w.missing(gone), len(gone))
	}
	keys.Each(func(k store.Key) {
		if w.series[k] > 0 {
			t.Errorf("the label set of %v came back", k)
		}
	})
	if len(w.series) != 90 {
		t.Errorf("%d label sets came", len(w.series))
	}
	eventually(t, "all is committed", func() bool { return lagOf(c) == 0 })
	loads := source.loads.Load()
	b.write(t, p, 200, 5)
	eventually(t, "new ones arrive", func() bool { return lagOf(c) == 0 && w.count() == len(stay)+len(after)+500 })
	if source.loads.Load() != loads || loads != 1 {
		t.Errorf("the keys were loaded %d times", source.loads.Load())
	}

	// A receiver that hears of it announces the label sets again.
	entry := source.entries[0]
	p.Forget(&entry)
	b.write(t, p, 300, 1)
	eventually(t, "the label sets", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.series) == 100
	})

	// So does a replay.
	a := b.log.Archive(b.cfg)
	a.LeaveOut(b.erased, nil)
	w = newTables()
	if _, err := a.Replay(t.Context(), spanOf(t, a, "oldest", "newest"), w, testLogger(t), func(ReplayProgress) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if w.missing(stay) != 0 || w.missing(after) != 0 || w.missing(gone) != len(gone) {
		t.Errorf("a replay: %d and %d are missing, %d of %d came back", w.missing(stay), w.missing(after), len(gone)-w.missing(gone), len(gone))
	}
}

// TestErasedWhileTheTablesAreAway: what is collected when an erasure comes is not written with what it erases, by whatever
// writes the log.
func TestErasedWhileTheTablesAreAway(t *testing.T) {
	t.Parallel()
	consume := func(t *testing.T, b *backend, w *tables) { b.consume(t, w, w) }
	replay := func(t *testing.T, b *backend, w *tables) {
		a := b.log.Archive(b.cfg)
		a.LeaveOut(b.erased, nil)
		ctx, cancel := context.WithCancel(context.Background())
		span, done := spanOf(t, a, "oldest", "newest"), make(chan struct{})
		go func() {
			defer close(done)
			if _, err := a.Replay(ctx, span, w, testLogger(t), func(ReplayProgress) error { return nil }); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	// A batch of several requests is refused, so that they are written one by one.
	several := func(b *store.Batch) bool { return b.Samples.Len() > 100 }
	for name, c := range map[string]struct {
		write   func(t *testing.T, b *backend, w *tables)
		invalid func(*store.Batch) bool
	}{"a consumer": {write: consume}, "a replay": {write: replay}, "a consumer, one by one": {consume, several}, "a replay, one by one": {replay, several}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := embeddedBackend(t)
			source := &erasures{}
			b.erased = source.listed(t)
			all := b.write(t, b.producer(), 1, 10)
			w := newTables()
			var tries atomic.Int32
			w.failWith(func(b *store.Batch) error {
				if c.invalid != nil && c.invalid(b) {
					return store.Invalidf("too much")
				}
				tries.Add(1)
				return errors.New("away")
			})
			c.write(t, b, w)
			eventually(t, "an attempt", func() bool { return tries.Load() > 0 })
			keys := firstSeries()
			source.set(false, b.entryNow(t, "x", keys))
			if err := b.erased.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := tries.Load()
			eventually(t, "an attempt with what is left", func() bool { return tries.Load() > seen+1 })
			w.failWith(func(b *store.Batch) error {
				if c.invalid != nil && c.invalid(b) {
					return store.Invalidf("too much")
				}
				return nil
			})
			gone, stay := splitErased(keys, all)
			eventually(t, "the others arrive", func() bool { return w.missing(stay) == 0 })
			if w.missing(gone) != len(gone) {
				t.Errorf("%d of %d erased samples were written", len(gone)-w.missing(gone), len(gone))
			}
		})
	}
}

// TestErasedIsTold: receivers hear of erasures that are new or have changed, once each, and not of those of before.
func TestErasedIsTold(t *testing.T) {
	source := &erasures{}
	var told []string
	e := NewErased(source, testLogger(t))
	e.Tell(func(entry *list.Entry) { told = append(told, entry.ID+entry.Version) })
	step := func(want int, entries ...list.Entry) {
		t.Helper()
		source.set(false, entries...)
		for range 2 {
			if err := e.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != want {
			t.Errorf("told %v", told)
		}
	}
	old := list.Entry{ID: "old", Version: "1", Done: true}
	step(0, old)
	step(1, old, list.Entry{ID: "new", Version: "1"})
	version := e.version()
	step(2, old, list.Entry{ID: "new", Version: "2", Done: true})
	if e.version() != version+1 {
		t.Errorf("the version went from %d to %d", version, e.version())
	}
	step(3, old, list.Entry{ID: "new", Version: "3", Done: true})
	step(3)
}

// TestErasedLetters: what was erased since does not come back with a dead letter.
func TestErasedLetters(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(), t.TempDir()
	log, err := OpenEmbedded(dir, cfg, testLogger(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{cfg: cfg, log: log}
	letter := func(generation string, batch *store.Batch) {
		t.Helper()
		headers := []sarama.RecordHeader{{Key: []byte(HeaderTopic), Value: []byte(cfg.Topic)}, {Key: []byte(HeaderPartition), Value: []byte("0")}, {Key: []byte(HeaderOffset), Value: []byte("0")}, {Key: []byte(HeaderGeneration), Value: []byte(generation)}}
		m := &sarama.ProducerMessage{Topic: cfg.DeadLetterTopic, Value: sarama.ByteEncoder((&record.Encoder{}).Append(nil, batch)), Headers: headers}
		if _, _, err := log.DeadLetter.SendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	b.write(t, b.producer(), 1, 1)
	letter("", batchOf(10, 5))
	letter("", batchOf(20, 6))
	entry := b.entryNow(t, "x", firstSeries())
	entry.NotedMs++ // as if a millisecond had passed
	for entry.NotedMs >= time.Now().UnixMilli() {
		time.Sleep(time.Millisecond)
	}
	letter(entry.Generation, batchOf(10, 7))
	letter("another", batchOf(10, 8))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(t.Context(), cfg, dir, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	source := &erasures{}
	source.set(false, entry)
	a.LeaveOut(source.listed(t), nil)
	source.set(false, entry, list.Entry{ID: "y", Version: "requested", Pending: true})
	if err := a.erased.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.ReplayLetters(t.Context(), 0, func(l Letter, _ error) { t.Errorf("the letter %d was done while an erasure was pending", l.Offset) }); !errors.Is(err, errPending) {
		t.Errorf("while an erasure is pending: %v", err)
	}
	source.set(false, entry)
	if err := a.erased.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := 0
	if err := a.ReplayLetters(t.Context(), 0, func(_ Letter, why error) {
		if errors.Is(why, errErased) {
			kept++
		}
	}); err != nil {
		t.Fatal(err)
	}
	a.LeaveOut(nil, nil)
	w := newTables()
	if _, err := a.Replay(t.Context(), spanOf(t, a, "oldest", "newest"), w, testLogger(t), func(ReplayProgress) error { return nil }); err != nil {
		t.Fatal(err)
	}
	gone, stay := splitErased(firstSeries(), keysOf(batchOf(20, 6)))
	for what, ok := range map[string]bool{
		"two letters are erased as a whole":    kept == 2,
		"the rest of a letter is replayed":     w.missing(stay) == 0,
		"without what was erased":              w.missing(gone) == len(gone),
		"another generation is another matter": w.missing(keysOf(batchOf(10, 8))) == 0,
		"a letter of the generation is erased": w.missing(keysOf(batchOf(10, 7))) == 10,
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
}
