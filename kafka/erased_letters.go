package kafka

import (
	"context"
	"errors"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

var errErased = errors.New("all that it has was erased since")

// errPending is why no letter is replayed: its record would be taken for one that came after the request.
var errPending = store.Invalidf("an erasure was asked for that has not begun: replay dead letters when it is done (GET /api/v1/admin/erasures shows how far it is)")

// leaveOutOf removes from the rows of a dead letter what was erased since its record was written, and reports whether there
// was anything.
func (a *Archive) leaveOutOf(ctx context.Context, l Letter, rows *store.Batch) (bool, error) {
	e := a.erased
	if e == nil {
		return false, nil
	}
	if err := e.await(ctx); err != nil {
		return false, err
	}
	removed := 0
	for _, entry := range e.state.Load().entries {
		if entry.Pending {
			return false, errPending
		}
		if !coversLetter(&entry.Entry, l) {
			continue
		}
		full, err := e.loaded(ctx, entry)
		if err != nil {
			return false, err
		}
		removed += full.Apply(rows, list.Mark{})
	}
	return removed > 0, nil
}

// coversLetter tells whether an erasure concerns a letter's record. A letter that does not say of which generation of the
// topic the record was is judged by its own time: it came after its record.
func coversLetter(e *list.Entry, l Letter) bool {
	if l.Generation != "" && e.Covers(l.Generation, l.Partition, l.RecordOffset) {
		return true
	}
	return l.Time.UnixMilli() <= e.NotedMs
}
