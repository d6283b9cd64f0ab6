package clickhouse

import (
	"context"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// tierStream hands out the rows of one stretch of time in the order of their keys: it turns a read that pushes blocks around.
// The read runs ahead by one block.
type tierStream struct {
	c      tierColumns
	rows   rowsReader
	metric uint32 // of all series, where the column is not read

	blocks chan int      // the numbers of their rows; closed at the end
	taken  chan struct{} // answers each block: its memory may be used again
	err    error         // of the read, once blocks is closed
	cancel context.CancelFunc

	at, end int // rows [at, end) of the block have not been taken
}

// start begins the read. It has to be stopped.
func (t *tierStream) start(ctx context.Context, read func(ctx context.Context, onBlock func(rows int) error) error) {
	t.blocks, t.taken = make(chan int), make(chan struct{})
	ctx, t.cancel = context.WithCancel(ctx)
	go func() {
		defer close(t.blocks)
		t.err = read(ctx, func(rows int) error {
			select {
			case t.blocks <- rows:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case <-t.taken:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
}

// stop ends the read and waits for it.
func (t *tierStream) stop() {
	t.cancel()
	for range t.blocks {
	}
}

// next makes sure that there is a row, unless the stream is at its end.
func (t *tierStream) next() error {
	if t.at < t.end {
		return nil
	}
	if t.end > 0 {
		t.at, t.end = 0, 0
		select {
		case t.taken <- struct{}{}:
		case <-t.blocks: // the read was cancelled meanwhile
			return t.err
		}
	}
	rows, ok := <-t.blocks
	if !ok {
		return t.err
	}
	t.end = rows
	return nil
}

// ended reports whether there is no row.
func (t *tierStream) ended() bool { return t.at == t.end }

func (t *tierStream) keyAt(i int) store.Key {
	if len(t.c.keys.metrics) == 0 {
		return store.Key{Metric: t.metric, ID: t.c.keys.ids[i]}
	}
	return store.Key{Metric: t.c.keys.metrics[i], ID: t.c.keys.ids[i]}
}

// take takes the rows of a series from what is left of the block, and appends them to r where r is not nil. It returns
// how many they are.
func (t *tierStream) take(key store.Key, r *rollup.Rows) (int, error) {
	ids, j := t.c.keys.ids[:t.end], t.at
	for j < len(ids) && ids[j] == key.ID && t.keyAt(j) == key {
		j++
	}
	taken := j - t.at
	if r != nil {
		if t.rows.appendRows(r, t.at, j); t.rows.twice {
			return 0, errTwice
		}
	}
	t.at = j
	return taken, nil
}
