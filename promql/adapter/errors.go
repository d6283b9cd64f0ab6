package adapter

import (
	"context"
	"errors"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/promql"
)

// queryError turns what a reader returned into what the engine and those above it tell apart by type. The engine
// wraps it with %w; promql.ErrStorage hides what it holds, so limits are not put into one.
func queryError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return promql.ErrQueryTimeout("reading samples")
	case ended != nil:
		return promql.ErrQueryCanceled("reading samples")
	case store.KindOf(err) == store.KindUnavailable:
		return promql.ErrStorage{Err: err}
	}
	return err
}
