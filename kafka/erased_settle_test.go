package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

// TestErasedWaitsForWrites: as long as a write is under way that began with a former list, a reader does not say that it
// leaves out what was added.
func TestErasedWaitsForWrites(t *testing.T) {
	t.Parallel()
	b := embeddedBackend(t)
	source := &erasures{}
	b.erased = source.listed(t)
	b.write(t, b.producer(), 1, 1)
	w := newTables()
	begun, end := make(chan struct{}), make(chan struct{})
	w.failWith(func(*store.Batch) error { w.failWith(nil); close(begun); <-end; return nil })
	b.consume(t, w, w)
	<-begun
	if !b.erased.settled() {
		t.Error("no list has changed")
	}
	source.set(false, b.entryNow(t, "x", firstSeries()))
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.erased.Publish(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("published while a write is under way: %v", err)
	}
	if err := b.erased.report(t.Context()); err != nil || source.settled.Load() {
		t.Errorf("settled while a write is under way, %v", err)
	}
	close(end)
	if err := b.erased.Publish(t.Context()); err != nil || !source.settled.Load() {
		t.Errorf("not settled when it is over: %v", err)
	}
}

// TestErasedTenantsWrite nothing any more, from when their deletion is asked for until it is done.
func TestErasedTenantsWrite(t *testing.T) {
	source := &erasures{}
	e := NewErased(source, testLogger(t))
	written := 0
	w := e.Guard(store.WriterFunc(func(context.Context, *store.Batch) error { written++; return nil }))
	write := func(want bool, of *store.Batch, entries ...list.Entry) {
		t.Helper()
		source.set(false, entries...)
		if err := e.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := written
		if err := w.Write(t.Context(), of); want != (err == nil) || want != (written > before) || store.KindOf(err) != store.KindUnavailable {
			t.Errorf("%+v: %v", entries, err)
		}
	}
	series := &store.Batch{Series: []store.Series{{Tenant: "t"}}}
	metadata := &store.Batch{Metadata: []store.Metadata{{Tenant: "t"}}}
	other := &store.Batch{Series: []store.Series{{Tenant: "other"}}}
	write(true, series)
	for _, entry := range []list.Entry{{ID: "x", Tenant: "t", Version: "requested", Pending: true, AllGone: true}, {ID: "x", Tenant: "t", Version: "deleting", AllGone: true}} {
		write(false, series, entry)
		write(false, metadata, entry)
		write(true, other, entry)
	}
	write(true, series, list.Entry{ID: "x", Tenant: "t", Version: "done", AllGone: true, Done: true})
	write(true, series, list.Entry{ID: "y", Tenant: "t", Version: "deleting"})
}
