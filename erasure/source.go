package erasure

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// Source tells a reader of a topic what was erased of it, and the ledger what the reader knows. One goroutine at a time may use
// it, but for Load.
type Source struct {
	ledger Ledger
	topic  string

	// known are the entries of a version, which are not read again.
	version int64
	known   []list.Entry
	since   atomic.Int64 // when the oldest request was made that is not done, in Unix milliseconds; 0 without any

	// reader is what the ledger was told last, at a time; zero is never.
	reader   db.Reader
	reported time.Time
}

// NewSource returns the source of a topic's list for a reader. The registerer shows how old requests are; nil is none.
func NewSource(l Ledger, topic string, r db.Reader, registerer prometheus.Registerer) *Source {
	s := &Source{ledger: l, topic: topic, version: -1, reader: r}
	registerOldest(registerer, &s.since)
	return s
}

// lifeEvery is how often a reader says that it is alive; one that has been silent for silence is waited for no longer.
const (
	lifeEvery = 3 * time.Second
	silence   = 5 * lifeEvery
)

// Report implements [kafka.ErasureSource].
func (s *Source) Report(ctx context.Context, settled bool) error {
	r := s.reader
	if settled {
		r.Version = s.version
	}
	if r == s.reader && (r.Alone || time.Since(s.reported) < lifeEvery) {
		return nil
	}
	return s.report(ctx, r)
}

func (s *Source) report(ctx context.Context, r db.Reader) error {
	if err := s.ledger.ReportReader(ctx, r); err != nil {
		return err
	}
	s.reader, s.reported = r, time.Now()
	return nil
}

// Leave implements [kafka.ErasureSource].
func (s *Source) Leave(ctx context.Context) error {
	if s.reported.IsZero() {
		return nil
	}
	r := s.reader
	r.Version = db.ReaderLeft
	return s.report(ctx, r)
}

// EntryOf returns the entry of the list that an erasure has, without its keys.
func EntryOf(e db.Erasure) list.Entry {
	entry := list.Entry{
		ID: e.ID, Tenant: e.Tenant, Version: fmt.Sprintf("%s %d %d", e.State, e.Noted.UnixMilli(), e.Finished.UnixMilli()), Generation: e.Generation, Ends: e.Ends,
		NotedMs: e.Noted.UnixMilli(), Clean: e.State != db.ErasureDeleting, Done: e.State == db.ErasureDone, Range: e.Range(), AllFamilies: e.Whole(), AllGone: e.Report != nil && forGood(e), Families: map[string]bool{},
	}
	for _, name := range e.Families {
		entry.Families[name] = true
	}
	return entry
}

// Erasures returns the entries that are in force, without their keys, and those that are pending.
func (s *Source) Erasures(ctx context.Context) ([]list.Entry, error) {
	if s.reported.IsZero() { // before the list is read: who does not see this reader need not wait for it
		if err := s.report(ctx, s.reader); err != nil {
			return nil, err
		}
	}
	version, err := s.ledger.ErasuresVersion(ctx)
	if err != nil || version == s.version {
		return s.known, err
	}
	open, err := s.ledger.OpenErasures(ctx)
	if err != nil {
		return nil, err
	}
	var out []list.Entry
	since := int64(0)
	for _, e := range open { // oldest first
		if e.Unfinished() && since == 0 {
			since = e.Created.UnixMilli()
		}
		switch {
		case !e.Listed:
			out = append(out, list.Entry{ID: e.ID, Tenant: e.Tenant, Version: e.State, Pending: true, AllGone: e.Whole()})
		case e.Topic == s.topic:
			out = append(out, EntryOf(e))
		}
	}
	s.version, s.known = version, out
	s.since.Store(since)
	return out, nil
}

// Load fills in an entry's keys.
func (s *Source) Load(ctx context.Context, e *list.Entry) error { return load(ctx, s.ledger, e) }

func (j *Job) load(ctx context.Context, e *list.Entry) error { return load(ctx, j.Ledger, e) }

func load(ctx context.Context, l Ledger, e *list.Entry) error {
	read := func(kind int) (*list.Keys, error) {
		set := &list.Keys{}
		var keys []store.Key
		err := l.ErasureKeys(ctx, e.ID, kind, func(data []byte) (err error) {
			if keys, err = list.DecodeKeys(keys[:0], data); err == nil {
				set.Add(keys)
			}
			return err
		})
		return set, err
	}
	var err error
	if e.Keys, err = read(db.ErasedKeys); err != nil {
		return err
	}
	if e.AllGone {
		e.Gone = e.Keys
		return nil
	}
	if !e.Clean {
		return nil // nobody knows yet
	}
	e.Gone, err = read(db.GoneKeys)
	return err
}
