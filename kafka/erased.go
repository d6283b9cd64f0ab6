package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// ErasureSource knows what was erased of a topic.
type ErasureSource interface {
	// Erasures returns the entries that are in force, without their keys, and those that are pending.
	Erasures(ctx context.Context) ([]list.Entry, error)

	// Load fills in the keys of an entry.
	Load(ctx context.Context, e *list.Entry) error

	// Report says that the reader is alive and, where settled is set, that it writes nothing any more which the entries
	// that were returned last erase. Leave says that it reads no more.
	Report(ctx context.Context, settled bool) error
	Leave(ctx context.Context) error
}

// erasedAge is how often the source is asked.
const erasedAge = time.Second

// Erased is the list of erasures as a reader of the log applies it. Keys are loaded when a record comes that an entry is
// about, which is only when the log is read again; until then an entry costs one comparison a record. A nil list is empty.
type Erased struct {
	source ErasureSource
	logger *slog.Logger

	state   atomic.Pointer[erasedState] // nil: never read
	read    chan struct{}               // closed when it was read once
	refresh sync.Mutex                  // guards the source but for Load, and the next two
	tell    []func(*list.Entry)         // are told of news
	fresh   bool                        // state is what the source has returned last
	loading sync.Mutex

	writing sync.Mutex
	writes  map[uint64]int // that are under way, by the version of the list that they began with
}

// erasedState does not change, but that entries get their keys.
type erasedState struct {
	version uint64
	entries []*erasedEntry

	// deleted are the tenants that are being deleted.
	deleted map[string]bool

	// last is, by generation and partition, the end behind which no entry is about a record.
	last map[string]map[int32]int64
}

type erasedEntry struct {
	list.Entry                            // without keys
	full       atomic.Pointer[list.Entry] // with them
}

// NewErased returns a list that Run keeps fresh.
func NewErased(source ErasureSource, logger *slog.Logger) *Erased {
	return &Erased{source: source, logger: logger, read: make(chan struct{}), writes: map[uint64]int{}}
}

// Tell makes f be called with each erasure that is new or has changed from now on, with its keys, before the list has it.
func (e *Erased) Tell(f func(*list.Entry)) {
	if e == nil {
		return
	}
	e.refresh.Lock()
	defer e.refresh.Unlock()
	e.tell = append(e.tell, f)
}

// Run reads the list again and again until ctx ends, and tells the source how far this reader is.
func (e *Erased) Run(ctx context.Context) error {
	defer e.leave(ctx)
	retry := newRetry(e.logger, "cannot read what was erased from the metadata database; where it was never read, the log is not read on")
	for ctx.Err() == nil {
		err := e.Refresh(ctx)
		if err == nil {
			err = e.report(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				retry.failed(ctx, err)
			}
			continue
		}
		retry.succeeded()
		select {
		case <-time.After(erasedAge):
		case <-ctx.Done():
		}
	}
	return nil
}

// Refresh reads the list now.
func (e *Erased) Refresh(ctx context.Context) error {
	if e == nil {
		return nil
	}
	e.refresh.Lock()
	defer e.refresh.Unlock()
	entries, err := e.source.Erasures(ctx)
	if err != nil {
		return err
	}
	e.fresh = false
	before := e.state.Load()
	next, news := before.with(entries)
	if before == nil { // what was there before it was ever read is no news
		e.state.Store(next)
		e.fresh = true
		close(e.read)
		return nil
	}
	for _, entry := range news {
		if entry.Pending {
			continue
		}
		for _, f := range e.tell {
			full, err := e.load(ctx, entry)
			if err != nil {
				return err
			}
			f(full)
		}
	}
	e.state.Store(next)
	e.fresh = true
	return nil
}

// with returns the state with other entries, and those of them that are new or have changed. It is the state itself where
// nothing has changed.
func (s *erasedState) with(entries []list.Entry) (next *erasedState, news []*erasedEntry) {
	known := map[string]*erasedEntry{}
	next = &erasedState{version: 1, deleted: map[string]bool{}, last: map[string]map[int32]int64{}}
	if s != nil {
		next.version = s.version + 1
		for _, entry := range s.entries {
			known[entry.ID] = entry
		}
	}
	same := s != nil && len(entries) == len(s.entries)
	for _, fresh := range entries {
		entry := known[fresh.ID]
		if entry == nil || entry.Version != fresh.Version {
			entry = &erasedEntry{Entry: fresh}
			same = false
			news = append(news, entry)
		}
		next.entries = append(next.entries, entry)
		if fresh.AllGone && !fresh.Done {
			next.deleted[fresh.Tenant] = true
		}
		next.cover(fresh.Generation, fresh.Ends)
	}
	if same {
		return s, nil
	}
	return next, news
}

// cover adds the ends of an entry.
func (s *erasedState) cover(generation string, ends map[int32]int64) {
	last := s.last[generation]
	if last == nil {
		last = map[int32]int64{}
		s.last[generation] = last
	}
	for p, end := range ends {
		last[p] = max(last[p], end)
	}
}

// await waits until the list was read once.
func (e *Erased) await(ctx context.Context) error {
	if e == nil {
		return nil
	}
	select {
	case <-e.read:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// version changes with the list.
func (e *Erased) version() uint64 {
	if e == nil {
		return 0
	}
	if s := e.state.Load(); s != nil {
		return s.version
	}
	return 0
}

// of returns the entries that concern a record, with their keys, which are waited for. It returns an error only when ctx
// ends.
func (e *Erased) of(ctx context.Context, generation string, partition int32, offset int64) ([]*list.Entry, error) {
	if e == nil {
		return nil, nil
	}
	s := e.state.Load()
	if s == nil {
		if err := e.await(ctx); err != nil {
			return nil, err
		}
		s = e.state.Load()
	}
	if offset >= s.last[generation][partition] {
		return nil, nil
	}
	var out []*list.Entry
	for _, entry := range s.entries {
		if !entry.Covers(generation, partition, offset) {
			continue
		}
		full, err := e.loaded(ctx, entry)
		if err != nil {
			return nil, err
		}
		out = append(out, full)
	}
	return out, nil
}

// loaded returns an entry with its keys; a source that does not answer is waited for.
func (e *Erased) loaded(ctx context.Context, entry *erasedEntry) (*list.Entry, error) {
	if full := entry.full.Load(); full != nil {
		return full, nil
	}
	retry := newRetry(e.logger, "cannot read which series were erased; the log is not read on")
	for {
		full, err := e.load(ctx, entry)
		if err == nil {
			retry.succeeded()
			return full, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		retry.failed(ctx, err)
	}
}

func (e *Erased) load(ctx context.Context, entry *erasedEntry) (*list.Entry, error) {
	e.loading.Lock()
	defer e.loading.Unlock()
	if full := entry.full.Load(); full != nil {
		return full, nil
	}
	full := entry.Entry
	if err := e.source.Load(ctx, &full); err != nil {
		return nil, fmt.Errorf("cannot load the erasure %s: %w", full.ID, err)
	}
	entry.full.Store(&full)
	return &full, nil
}

// decodeKept appends the rows of a record that were not erased.
func decodeKept(d *record.Decoder, b *store.Batch, value []byte, erased []*list.Entry) error {
	from := list.MarkOf(b)
	if err := d.Decode(b, value); err != nil {
		return err
	}
	for _, e := range erased {
		e.Apply(b, from)
	}
	return nil
}

// ofMessage is of for a message.
func (e *Erased) ofMessage(ctx context.Context, generation string, m *sarama.ConsumerMessage) ([]*list.Entry, error) {
	return e.of(ctx, generation, m.Partition, m.Offset)
}
