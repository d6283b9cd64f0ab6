package memory

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

const (
	hourMs = 60 * 60 * 1000
	// forever is later than any sample.
	forever = math.MaxInt64
)

// Tiers is a store with tiers. It is the specification of the tables that rollups are in. Its methods may be called from
// several goroutines at once.
type Tiers struct {
	*Store
	now func() int64

	mu    sync.Mutex
	rows  map[rowsOf]map[int64]versionedRow // by the end of the bucket
	hours map[int64]rollup.HourState
	marks map[rollup.Mark]struct{}
	token uint64
}

type rowsOf struct {
	tier rollup.Tier
	key  store.Key
}

// versionedRow is a float row, or a histogram row where that is not nil.
type versionedRow struct {
	version   uint64
	row       rollup.Row
	histogram *rollup.HistogramRow
}

var (
	_ rollup.Tables = (*Tiers)(nil)
	_ rollup.Reader = (*Tiers)(nil)
)

// NewTiers returns an empty store with tiers; now is the wall clock in milliseconds.
func NewTiers(now func() int64) *Tiers {
	return &Tiers{
		Store: New(), now: now,
		rows: map[rowsOf]map[int64]versionedRow{}, hours: map[int64]rollup.HourState{}, marks: map[rollup.Mark]struct{}{},
	}
}

// Write adds the batch, and marks what is late of it.
func (t *Tiers) Write(ctx context.Context, b *store.Batch) error {
	progress := b.Progress
	data := *b
	data.Progress = nil
	if err := t.Store.Write(ctx, &data); err != nil {
		return err
	}
	now := t.now()
	if late := rollup.FindLate(b, now); late != nil {
		states, err := t.Hours(ctx, late.Span())
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.token++
		token := t.token
		t.mu.Unlock()
		if err := t.WriteMarks(ctx, late.Marks(states, token, now)); err != nil {
			return err
		}
	}
	return t.Store.Write(ctx, &store.Batch{Progress: progress})
}

// ReadRaw implements [rollup.Source].
func (t *Tiers) ReadRaw(ctx context.Context, span rollup.Span, keys []store.Key, yield func(*rollup.RawSeries) error) error {
	list, err := t.raw(span, keys)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(&rollup.RawSeries{SeriesData: *d}); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tiers) raw(span rollup.Span, keys []store.Key) ([]*store.SeriesData, error) {
	t.Store.mu.RLock()
	defer t.Store.mu.RUnlock()
	var out []*store.SeriesData
	for _, k := range slices.SortedFunc(maps.Keys(t.series), store.Key.Compare) {
		if keys != nil && !slices.Contains(keys, k) {
			continue
		}
		d, err := t.series[k].read(span.FromMs+1, span.ToMs)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// Days implements [rollup.Source].
func (t *Tiers) Days(context.Context) ([]int64, error) {
	t.Store.mu.RLock()
	defer t.Store.mu.RUnlock()
	days := map[int64]struct{}{}
	for _, o := range t.series {
		for at := range o.samples {
			days[day(at)*dayMs] = struct{}{}
		}
		for at := range o.histograms {
			days[day(at)*dayMs] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(days)), nil
}

// Expired implements [rollup.Source]: nothing is ever removed.
func (t *Tiers) Expired(context.Context) (map[int64][]uint8, error) { return nil, nil }

// Hours implements [rollup.Ledger].
func (t *Tiers) Hours(_ context.Context, span rollup.Span) ([]rollup.HourState, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []rollup.HourState
	for _, end := range slices.Sorted(maps.Keys(t.hours)) {
		if end > span.FromMs && end <= span.ToMs {
			out = append(out, t.hours[end])
		}
	}
	return out, nil
}

// SetHours implements [rollup.Ledger].
func (t *Tiers) SetHours(_ context.Context, states []rollup.HourState) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range states {
		old, ok := t.hours[s.EndMs]
		if !ok || cmp.Or(cmp.Compare(old.Version, s.Version), cmp.Compare(old.State, s.State)) <= 0 {
			t.hours[s.EndMs] = s
		}
	}
	return nil
}

// Marks implements [rollup.Ledger].
func (t *Tiers) Marks(_ context.Context, limit int) ([]rollup.Mark, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.SortedFunc(maps.Keys(t.marks), func(a, b rollup.Mark) int {
		return cmp.Or(cmp.Compare(a.EndMs, b.EndMs), a.Key.Compare(b.Key), cmp.Compare(a.Token, b.Token))
	})
	return out[:min(limit, len(out))], nil
}

// WriteMarks implements [rollup.Ledger].
func (t *Tiers) WriteMarks(_ context.Context, marks []rollup.Mark) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range marks {
		t.marks[m] = struct{}{}
	}
	return nil
}

// ClearMarks implements [rollup.Ledger].
func (t *Tiers) ClearMarks(_ context.Context, marks []rollup.Mark) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range marks {
		delete(t.marks, m)
	}
	return nil
}

// WriteRollups implements [rollup.Writer]. Of two rows of one bucket the one with the greater version stays.
func (t *Tiers) WriteRollups(_ context.Context, b *rollup.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range b.Series {
		s := &b.Series[i]
		for j := range s.Rows.Len() {
			t.put(rowsOf{b.Tier, s.Key}, s.Rows.EndsMs[j], versionedRow{version: b.Version, row: s.Rows.Row(j)})
		}
		for j := range s.Histograms {
			h := s.Histograms[j].Clone()
			t.put(rowsOf{b.Tier, s.Key}, h.EndMs, versionedRow{version: b.Version, histogram: &h})
		}
	}
	return nil
}

// VoidRollups implements [rollup.Writer].
func (t *Tiers) VoidRollups(_ context.Context, tier rollup.Tier, span rollup.Span, version uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for of, rows := range t.rows {
		maps.DeleteFunc(rows, func(end int64, r versionedRow) bool {
			return of.tier == tier && end > span.FromMs && end <= span.ToMs && r.version < version
		})
	}
	return nil
}

func (t *Tiers) put(of rowsOf, endMs int64, r versionedRow) {
	if t.rows[of] == nil {
		t.rows[of] = map[int64]versionedRow{}
	}
	if old, ok := t.rows[of][endMs]; !ok || old.version <= r.version {
		t.rows[of][endMs] = r
	}
}
