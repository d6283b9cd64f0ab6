package breaker

import (
	"context"

	"github.com/metricstream/metricstream/store"
)

// Writer returns a writer that asks the breaker before w.
func (b *Breaker) Writer(w store.Writer) store.Writer {
	return store.WriterFunc(func(ctx context.Context, batch *store.Batch) error {
		return b.Do(ctx, func() error { return w.Write(ctx, batch) })
	})
}
