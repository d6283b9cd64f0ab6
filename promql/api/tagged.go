package api

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// taggedQueryable marks the errors of a Queryable as the store's: the engine hands them on among its own, and
// "cannot reach the database" must not look like a fault of the query.
type taggedQueryable struct{ storage.Queryable }

func (q taggedQueryable) Querier(minMs, maxMs int64) (storage.Querier, error) {
	querier, err := q.Queryable.Querier(minMs, maxMs)
	if err != nil {
		return nil, fromStore(err)
	}
	return taggedQuerier{querier}, nil
}

type taggedQuerier struct{ storage.Querier }

func (q taggedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return taggedSet{q.Querier.Select(ctx, sorted, hints, ms...)}
}

type taggedSet struct{ storage.SeriesSet }

func (s taggedSet) Err() error { return fromStore(s.SeriesSet.Err()) }
