package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

// tables is a store.Writer that keeps what reaches it, and refuses what fail says.
type tables struct {
	mu       sync.Mutex
	fail     func(*store.Batch) error
	samples  map[sampleKey]int
	series   map[store.Key]int
	arrivals []string // "series" and "sample" of each key, in order
	order    map[store.Key][]int64
	progress map[int32]int64
	of       string // the generation of progress; another begins anew
	writes   int
}

type sampleKey struct {
	key    store.Key
	timeMs int64
}

func newTables() *tables {
	return &tables{samples: map[sampleKey]int{}, series: map[store.Key]int{}, order: map[store.Key][]int64{}, progress: map[int32]int64{}}
}

func (w *tables) Write(_ context.Context, b *store.Batch) error {
	w.mu.Lock()
	fail := w.fail
	w.mu.Unlock()
	if fail != nil {
		if err := fail(b); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	for i := range b.Series {
		w.series[b.Series[i].Key]++
	}
	for i, id := range b.Samples.IDs {
		k := store.Key{Metric: b.Samples.Metrics[i], ID: id}
		w.samples[sampleKey{k, b.Samples.TimesMs[i]}]++
		w.order[k] = append(w.order[k], b.Samples.TimesMs[i])
	}
	for _, p := range b.Progress {
		if p.Generation != w.of {
			clear(w.progress)
			w.of = p.Generation
		}
		w.progress[p.Partition] = p.NextOffset
	}
	return nil
}

// Progress implements ProgressReader.
func (w *tables) Progress(_ context.Context, _, generation string) (map[int32]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	progress := make(map[int32]int64)
	if w.of != generation {
		return progress, nil
	}
	for p, next := range w.progress {
		progress[p] = next
	}
	return progress, nil
}

// forget loses everything, as tables do that are restored from an empty backup.
func (w *tables) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.samples)
	clear(w.series)
	clear(w.order)
	clear(w.progress)
}

func (w *tables) failWith(f func(*store.Batch) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = f
}

func (w *tables) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.samples)
}

// missing returns how many of the samples have not arrived.
func (w *tables) missing(want []sampleKey) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, k := range want {
		if w.samples[k] == 0 {
			n++
		}
	}
	return n
}

// batchOf is a request of series 0 to n-1 with a sample each at a time.
func batchOf(n int, timeMs int64) *store.Batch {
	b := &store.Batch{}
	for i := range n {
		ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i/10), "instance", fmt.Sprint(i))
		k := store.KeyOf("t", ls)
		b.Series = append(b.Series, store.Series{Tenant: "t", Key: k, Labels: ls, MinMs: timeMs, MaxMs: timeMs})
		b.Samples.Append(k, timeMs, store.Decimal{Mant: int64(i)})
	}
	return b
}

func keysOf(b *store.Batch) []sampleKey {
	var keys []sampleKey
	for i, id := range b.Samples.IDs {
		keys = append(keys, sampleKey{store.Key{Metric: b.Samples.Metrics[i], ID: id}, b.Samples.TimesMs[i]})
	}
	return keys
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testLogger writes to the test's log until the test ends.
func testLogger(t testing.TB) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(w.stop)
	return slog.New(slog.NewTextHandler(w, nil))
}

type testWriter struct {
	mu   sync.Mutex
	t    testing.TB
	done bool
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.t.Logf("%s", b)
	}
	return len(b), nil
}

func (w *testWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
}
