package tiered

import (
	"context"
	"errors"

	"github.com/metricstream/metricstream/store"
	prom "github.com/prometheus/prometheus/promql"
)

// coverageError turns the error of a reader into the types that the engine has.
func coverageError(ctx context.Context, err error) error {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return prom.ErrQueryTimeout("reading what the tiers cover")
	case ended != nil:
		return prom.ErrQueryCanceled("reading what the tiers cover")
	case store.KindOf(err) == store.KindUnavailable:
		return prom.ErrStorage{Err: err}
	}
	return err
}
