package model

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/metricstream/metricstream/store"
)

const dayMs = 24 * 60 * 60 * 1000

var errTables = errors.New("the tables do not answer")

// tables are what ClickHouse shows of its tables: what was inserted, step by step, so that a backup is how many steps
// there were. Rows are identified by what they are. The world's lock guards them.
type tables struct {
	w        *world
	steps    []step
	progress map[place]int64
	backups  []int

	// had is the greatest progress that was lost by a restore: a commit that was on its way may still speak of it.
	had map[place]int64

	// restores counts how often the tables were taken back; a server that is taken back loses what runs on it.
	restores int
}

// place is a partition of one generation of the topic.
type place struct {
	generation string
	partition  int32
}

// step is one insert: all of its rows or none. One of its fields is set.
type step struct {
	series   []store.Series
	samples  []row
	progress []store.Progress
}

// row is a row of the table of samples.
type row struct {
	key    store.Key
	timeMs int64
	value  store.Decimal
}

// apply makes an insert visible.
func (t *tables) apply(s step) {
	t.steps = append(t.steps, s)
	t.advance(s)
}

func (t *tables) advance(s step) {
	for _, p := range s.progress {
		at := place{p.Generation, p.Partition}
		t.progress[at] = max(t.progress[at], p.NextOffset)
	}
}

// restore takes the tables back to a backup.
func (t *tables) restore(steps int) {
	t.restores++
	if t.had == nil {
		t.had = map[place]int64{}
	}
	for at, next := range t.progress {
		t.had[at] = max(t.had[at], next)
	}
	t.steps = t.steps[:steps:steps]
	clear(t.progress)
	for _, s := range t.steps {
		t.advance(s)
	}
}

// Progress implements kafka.ProgressReader.
func (t *tables) Progress(_ context.Context, _, generation string) (map[int32]int64, error) {
	time.Sleep(time.Millisecond)
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.w.draw(0)%100 < t.w.faults.tables/2 {
		return nil, errTables
	}
	progress := map[int32]int64{}
	for at, next := range t.progress {
		if at.generation == generation || *plant == "generations-mixed" {
			progress[at.partition] = max(progress[at.partition], next)
		}
	}
	return progress, nil
}

// plan makes a write's inserts: series, then samples by day in any order, then progress.
func plan(b *store.Batch, shuffle func(n int, swap func(i, j int))) []step {
	steps := make([]step, 0, 6)
	if len(b.Series) > 0 {
		steps = append(steps, step{series: append([]store.Series(nil), b.Series...)})
	}
	all := make([]row, b.Samples.Len())
	for i, id := range b.Samples.IDs {
		all[i] = row{store.Key{Metric: b.Samples.Metrics[i], ID: id}, b.Samples.TimesMs[i], store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]}}
	}
	byDay := func(a, b row) int { return cmp.Compare(dayOf(a.timeMs), dayOf(b.timeMs)) }
	if !slices.IsSortedFunc(all, byDay) {
		slices.SortFunc(all, byDay)
	}
	first := len(steps)
	for begin, i := 0, 1; i <= len(all); i++ {
		if i == len(all) || dayOf(all[i].timeMs) != dayOf(all[begin].timeMs) {
			steps = append(steps, step{samples: all[begin:i:i]})
			begin = i
		}
	}
	samples := steps[first:]
	shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	if len(b.Progress) > 0 {
		steps = append(steps, step{progress: append([]store.Progress(nil), b.Progress...)})
	}
	if *plant == "progress-first" {
		slices.Reverse(steps)
	}
	return steps
}

func dayOf(ms int64) int64 { return ms / dayMs }

// tableWriter is a consumer's connection to the tables.
type tableWriter struct {
	w  *world
	of *consumer
}

// Write implements store.Writer. Each step takes time; before and behind each the tables may fail, the process may
// end, and a step whose process or patience ended may still come true.
func (t tableWriter) Write(ctx context.Context, b *store.Batch) error {
	w := t.w
	w.mu.Lock()
	t.of.writes++
	r := w.rand("write", t.of.id, t.of.life, t.of.writes)
	restores := w.tables.restores
	slow := w.faults.slow
	w.mu.Unlock()
	refused := refuses(b)
	for _, s := range plan(b, r.Shuffle) {
		if refused && s.series == nil {
			return store.Invalidf("a row of a kind that the tables refuse")
		}
		took := time.Duration(r.IntN(20)) * time.Millisecond
		if slow {
			took *= 500
		}
		timer := time.NewTimer(took)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		w.mu.Lock()
		err := t.step(ctx, s, r.IntN(2) == 0, r.IntN(100), restores)
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// step makes one insert. The world's lock is held.
func (t tableWriter) step(ctx context.Context, s step, late bool, chance, restores int) error {
	w := t.w
	if w.tables.restores != restores {
		return errTables
	}
	if t.of.dead || ctx.Err() != nil {
		if late && !t.of.abandoned {
			w.tables.apply(s) // it was on its way
		}
		t.of.abandoned = t.of.dead
		return context.Canceled
	}
	if t.of.dies(false) {
		return context.Canceled
	}
	if w.faults.down || chance < w.faults.tables/2 {
		return errTables
	}
	w.tables.apply(s)
	if t.of.dies(true) {
		return context.Canceled
	}
	if chance >= 100-w.faults.tables/2 {
		return errTables
	}
	return nil
}

// refuses reports whether the tables never take the batch.
func refuses(b *store.Batch) bool {
	for _, id := range b.Samples.IDs {
		if id == population[poison].Key.ID {
			return true
		}
	}
	return false
}
