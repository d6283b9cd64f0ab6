package kafka

import (
	"errors"
	"testing"

	"github.com/metricstream/metricstream/store"
)

// testRestoredUnderAConsumer empties the tables while they are away from a consumer that runs, as a restore from a
// backup does: it notices by itself, before it writes on.
func testRestoredUnderAConsumer(t *testing.T, b *backend) {
	producer, w := b.producer(), newTables()
	want := b.write(t, producer, 1, 20)
	b.consume(t, w, w)
	eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
	tried := make(chan struct{}, 1)
	w.failWith(func(*store.Batch) error {
		select {
		case tried <- struct{}{}:
		default:
		}
		return errors.New("away")
	})
	want = append(want, b.write(t, producer, 100, 20)...)
	<-tried
	w.forget()
	w.failWith(nil)
	want = append(want, b.write(t, producer, 200, 20)...)
	eventually(t, "all samples arrive again", func() bool { return w.missing(want) == 0 })
}
