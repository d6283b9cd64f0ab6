package erasure

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// world is a database, tables and a log in memory, of which any call can fail.
type world struct {
	now func() time.Time

	// failAt is the number of the call that fails, after it did what it does where after is set. calls counts them.
	failAt, calls int
	after         bool

	erasures map[string]db.Erasure
	keys     map[string][][]byte // by erasure and kind
	readers  map[string]db.Reader

	points   map[store.Key]map[int64]bool
	series   map[store.Key]bool
	chosen   map[string]map[store.Key]bool
	gone     map[string]map[store.Key]bool
	applied  map[string]bool
	metadata map[string]bool
	families map[string][]string
	changed  int

	forgotten   int  // how often remembered answers were
	answersAway bool // who has them

	ends    Ends
	written map[int32]int64
	later   []point // what the log has behind the ends of the first partition
	onWait  func()

	onReaders func()
	onDelete  func() // after series and metadata were removed
}

type point struct {
	key    store.Key
	timeMs int64
}

var errAway = errors.New("away")

func newWorld() *world {
	return &world{
		now: time.Now, erasures: map[string]db.Erasure{}, keys: map[string][][]byte{}, readers: map[string]db.Reader{},
		points: map[store.Key]map[int64]bool{}, series: map[store.Key]bool{}, chosen: map[string]map[store.Key]bool{}, gone: map[string]map[store.Key]bool{},
		applied: map[string]bool{}, metadata: map[string]bool{}, families: map[string][]string{},
		ends:    Ends{Topic: "t", Generation: "g", Oldest: map[int32]int64{0: 0}, Next: map[int32]int64{0: 10}},
		written: map[int32]int64{0: 10},
	}
}

// call is around everything that may fail.
func (w *world) call(do func() error) error {
	w.calls++
	if w.calls == w.failAt && !w.after {
		return errAway
	}
	err := do()
	if w.calls == w.failAt {
		return errAway
	}
	return err
}

func (w *world) write(k store.Key, times ...int64) {
	w.series[k] = true
	if w.points[k] == nil {
		w.points[k] = map[int64]bool{}
	}
	for _, t := range times {
		w.points[k][t] = true
	}
}

func (w *world) OpenErasures(context.Context) (all []db.Erasure, err error) {
	err = w.call(func() error {
		for _, e := range w.erasures {
			if e.Listed || e.Unfinished() {
				all = append(all, e)
			}
		}
		slices.SortFunc(all, func(a, b db.Erasure) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
	return all, err
}

func (w *world) ErasuresVersion(context.Context) (int64, error) {
	sum := int64(len(w.erasures))
	for _, e := range w.erasures {
		sum += e.Revision
	}
	return sum, w.call(func() error { return nil })
}

func (w *world) CountErasures(context.Context) (map[string]int, error) {
	out := map[string]int{}
	for _, e := range w.erasures {
		out[e.State]++
	}
	return out, w.call(func() error { return nil })
}

func (w *world) SaveErasure(_ context.Context, e db.Erasure) (db.Erasure, error) {
	err := w.call(func() error {
		if w.erasures[e.ID].Revision != e.Revision {
			return db.ErrFenced
		}
		e.Revision++
		stored := e
		if e.Report != nil { // as it would be read
			report := *e.Report
			report.Tables = slices.Clone(report.Tables)
			stored.Report = &report
		}
		w.erasures[e.ID] = stored
		return nil
	})
	return e, err
}

func (w *world) NoteErasure(_ context.Context, e db.Erasure, progress string) error {
	stored := w.erasures[e.ID]
	stored.Progress = progress
	w.erasures[e.ID] = stored
	return nil
}

func (w *world) FinishErasure(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	e.Finished = w.now()
	return w.SaveErasure(ctx, e)
}

func (w *world) ReportReader(_ context.Context, r db.Reader) error {
	return w.call(func() error { w.readers[r.ID] = r; return nil })
}

func (w *world) Readers(context.Context) ([]db.Reader, error) {
	if w.onReaders != nil {
		w.onReaders()
	}
	return slices.Collect(maps.Values(w.readers)), w.call(func() error { return nil })
}

func (w *world) ForgetReaders(context.Context) error { return nil }

func kindOf(id string, kind int) string { return id + string(rune('0'+kind)) }

func (w *world) ClearErasureKeys(_ context.Context, e db.Erasure, kind int) error {
	return w.call(func() error { delete(w.keys, kindOf(e.ID, kind)); return nil })
}

func (w *world) AddErasureKeys(_ context.Context, e db.Erasure, kind, chunk int, data []byte) error {
	return w.call(func() error {
		k := kindOf(e.ID, kind)
		if len(w.keys[k]) != chunk {
			return errors.New("chunks are not in order")
		}
		w.keys[k] = append(w.keys[k], data)
		return nil
	})
}

func (w *world) ErasureKeys(_ context.Context, id string, kind int, yield func([]byte) error) error {
	return w.call(func() error {
		for _, data := range w.keys[kindOf(id, kind)] {
			if err := yield(data); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) Prepare(context.Context, string) error { return w.call(func() error { return nil }) }

func (w *world) Find(_ context.Context, _ string, _ [][]*labels.Matcher, _ list.Range, yield func([]store.Key) error) error {
	return w.call(func() error {
		var keys []store.Key
		for k := range w.series {
			if k.Metric == 1 {
				keys = append(keys, k)
			}
		}
		slices.SortFunc(keys, store.Key.Compare)
		for part := range slices.Chunk(keys, 2) {
			if err := yield(part); err != nil {
				return err
			}
		}
		return nil
	})
}

func add(to map[string]map[store.Key]bool, id string, keys []store.Key) {
	if to[id] == nil {
		to[id] = map[store.Key]bool{}
	}
	for _, k := range keys {
		to[id][k] = true
	}
}

func (w *world) AddKeys(_ context.Context, id string, keys []store.Key) error {
	return w.call(func() error { add(w.chosen, id, keys); return nil })
}

func (w *world) AddGone(_ context.Context, id string, keys []store.Key) error {
	return w.call(func() error { add(w.gone, id, keys); return nil })
}

func (w *world) ClearGone(_ context.Context, id string) error {
	return w.call(func() error { delete(w.gone, id); return nil })
}

func (w *world) Count(_ context.Context, id string, r list.Range) (counts []list.TableCount, err error) {
	err = w.call(func() error {
		n := uint64(0)
		for k := range w.chosen[id] {
			for t := range w.points[k] {
				if r.Has(t) {
					n++
				}
			}
		}
		counts = []list.TableCount{{Table: "samples", Rows: n, Query: "SELECT"}}
		return nil
	})
	return counts, err
}

func (w *world) DeletePoints(_ context.Context, id string, r list.Range, report func(string, int, int) error) error {
	return w.call(func() error {
		if err := report("samples", 0, 1); err != nil {
			return err
		}
		for k := range w.chosen[id] {
			maps.DeleteFunc(w.points[k], func(t int64, _ bool) bool { return r.Has(t) })
		}
		return nil
	})
}

func (w *world) Applied(context.Context) (map[string]bool, error) {
	return maps.Clone(w.applied), w.call(func() error { return nil })
}

func (w *world) SetApplied(_ context.Context, id string) error {
	return w.call(func() error { w.applied[id] = true; return nil })
}

func (w *world) Gone(_ context.Context, id string, yield func([]store.Key) error) error {
	return w.call(func() error {
		for k := range w.chosen[id] {
			if len(w.points[k]) == 0 {
				if err := yield([]store.Key{k}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (w *world) Families(_ context.Context, id, _ string) (names []string, err error) {
	err = w.call(func() error {
		for k := range w.gone[id] {
			if w.series[k] && k.ID == 1 {
				names = append(names, "one")
			}
		}
		return nil
	})
	return names, err
}

func (w *world) AllFamilies(context.Context, string) ([]string, error) {
	return slices.Sorted(maps.Keys(w.metadata)), w.call(func() error { return nil })
}

func (w *world) AddFamilies(_ context.Context, id, _ string, names []string) error {
	return w.call(func() error { w.families[id] = append(w.families[id], names...); return nil })
}

func (w *world) CountFamilies(_ context.Context, id string) (c list.TableCount, err error) {
	err = w.call(func() error {
		c.Table = metadataTable
		for name := range w.metadata {
			if slices.Contains(w.families[id], name) {
				c.Rows++
			}
		}
		return nil
	})
	return c, err
}

func (w *world) DeleteSeries(_ context.Context, id string) error {
	return w.call(func() error {
		for k := range w.gone[id] {
			delete(w.series, k)
		}
		for _, name := range w.families[id] {
			delete(w.metadata, name)
		}
		if w.onDelete != nil {
			w.onDelete()
		}
		return nil
	})
}

func (w *world) Changed(context.Context, string) error {
	return w.call(func() error { w.changed++; return nil })
}

func (w *world) answers(context.Context, string) error {
	return w.call(func() error {
		if w.answersAway {
			return errAway
		}
		w.forgotten++
		return nil
	})
}

func (w *world) Forget(_ context.Context, id string) error {
	return w.call(func() error { delete(w.applied, id); delete(w.chosen, id); return nil })
}

func (w *world) Ends(context.Context) (Ends, error) {
	e := w.ends
	e.Next, e.Oldest = maps.Clone(e.Next), maps.Clone(e.Oldest)
	return e, w.call(func() error { return nil })
}

func (w *world) Written(context.Context, string) (map[int32]int64, error) {
	if w.onWait != nil {
		w.onWait()
	}
	return maps.Clone(w.written), w.call(func() error { return nil })
}

func (w *world) WriteAgain(_ context.Context, from, to map[int32]int64, only func(*store.Batch)) error {
	return w.call(func() error {
		b := &store.Batch{}
		for i, p := range w.later {
			if at := int64(10 + i); at >= from[0] && at < to[0] {
				b.Samples.Append(p.key, p.timeMs, store.Decimal{})
				b.Series = append(b.Series, store.Series{Key: p.key})
			}
		}
		only(b)
		for i, id := range b.Samples.IDs {
			w.write(store.Key{Metric: b.Samples.Metrics[i], ID: id}, b.Samples.TimesMs[i])
		}
		return nil
	})
}
