package erasure

import (
	"context"
	"slices"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// keyWriter writes lists of series in chunks.
type keyWriter struct {
	job     *Job
	erasure db.Erasure
	kind    int
	chunk   int
	n       uint64
}

func (w *keyWriter) add(ctx context.Context, keys []store.Key) error {
	for part := range slices.Chunk(keys, chunkKeys) {
		if w.n += uint64(len(part)); w.n > maxKeys {
			return store.Limitf("the selectors choose more than %d series: ask for several erasures of fewer", maxKeys)
		}
		if err := w.job.Ledger.AddErasureKeys(ctx, w.erasure, w.kind, w.chunk, list.AppendKeys(nil, part)); err != nil {
			return err
		}
		w.chunk++
	}
	return nil
}

// keys reads a list.
func (j *Job) keys(ctx context.Context, e db.Erasure, kind int, yield func([]store.Key) error) error {
	var keys []store.Key
	return j.Ledger.ErasureKeys(ctx, e.ID, kind, func(data []byte) (err error) {
		if keys, err = list.DecodeKeys(keys[:0], data); err != nil {
			return err
		}
		return yield(keys)
	})
}
