package rollup

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/store"
)

// fold folds an hour, all of it or the series that its marks name, and records that it is closed.
//
// The order of the steps is what makes it safe against samples that come meanwhile and against another process that
// folds the same hour; the README says why.
func (d *Downsampler) fold(ctx context.Context, j job) error {
	began := time.Now()
	parts, err := d.partitions(ctx)
	if err != nil {
		return err
	}
	before, err := d.stateOf(ctx, j.endMs)
	if err != nil {
		return err
	}
	p := plan(before, j, d.Tiers, d.minSamples)
	if p.state.Version, err = version(before, parts); err != nil {
		return err
	}
	closing := p.state
	closing.Tiers = before.Tiers
	if err := d.record(ctx, closing, Closing); err != nil {
		return err
	}
	expired, err := d.Tables.Expired(ctx)
	if err != nil {
		return err
	}
	p.lose(before, expiredOf(expired, j.endMs))
	stats, err := d.folder.run(ctx, d.Tables, p)
	if err != nil {
		return err
	}
	if p.removed && len(p.expired) == 0 {
		for _, tier := range []Tier{Minute, Hour} {
			if !p.state.Tiers.Has(tier) {
				continue
			}
			if err := d.Tables.VoidRollups(ctx, tier, Span{FromMs: j.endMs - hourMs, ToMs: j.endMs}, p.state.Version); err != nil {
				return err
			}
		}
	}
	failpoint.Hit("downsampler/before-closed")
	if err := d.record(ctx, p.state, Closed); err != nil {
		return err
	}
	if len(j.marks) > 0 {
		if err := d.Tables.ClearMarks(ctx, j.marks); err != nil {
			return err
		}
	}
	d.metrics.folded(before, stats, time.Since(began))
	return nil
}

// partitions returns how far the log is written; without a log nothing.
func (d *Downsampler) partitions(ctx context.Context) ([]Partition, error) {
	if d.Log == nil {
		return nil, nil
	}
	return d.Log.Partitions(ctx)
}

func (d *Downsampler) record(ctx context.Context, s HourState, state State) error {
	s.State = state
	return d.Tables.SetHours(ctx, []HourState{s})
}

func (d *Downsampler) stateOf(ctx context.Context, endMs int64) (HourState, error) {
	states, err := d.Tables.Hours(ctx, Span{FromMs: endMs - 1, ToMs: endMs})
	if err != nil || len(states) == 0 {
		return HourState{EndMs: endMs, MinSamples: math.MaxUint32}, err
	}
	return states[0], nil
}

// hourPlan is how an hour is folded.
type hourPlan struct {
	state HourState
	keys  []store.Key // nil is all

	// removed is that series may have lost samples, so that rows may be left over. Then keys is nil.
	removed bool

	// expired are the retention classes of which raw may have lost samples.
	expired []uint8
}

// maxKeys is how many series are read one by one; with more it is the whole hour.
const maxKeys = 2 * maxLateKeys

// plan decides how to fold an hour again of which before is known.
func plan(before HourState, j job, tiers Tiers, minSamples uint32) hourPlan {
	p := hourPlan{state: before, removed: j.whole || slices.ContainsFunc(j.marks, func(m Mark) bool { return m.Key == RemovedKey })}
	p.state.Tiers = tiers
	// The number of samples can only grow, so with the least number that ever held no row of a minute is left behind
	// that a later fold would not write again.
	p.state.MinSamples = min(minSamples, before.MinSamples)
	if before.State == Closed && tiers&^before.Tiers == 0 && len(j.marks) > 0 && !j.whole {
		if keys := keysOf(j.marks); len(keys) <= maxKeys {
			p.keys = keys
		}
	}
	return p
}

// lose tells that samples of some classes are gone. An hour that was folded before then gets no rows of other tiers than it
// had, of which some series would have none.
func (p *hourPlan) lose(before HourState, classes []uint8) {
	p.expired = classes
	if len(classes) > 0 && (before.State == Closed || before.Tiers != 0) {
		p.state.Tiers &= before.Tiers
	}
}

// hourFolder folds one hour after the other.
type hourFolder struct {
	folder  Folder
	batches [3]rowBatch // by tier
	one     rowBatch
}

type foldStats struct {
	samples int64
	rows    [3]int64 // by tier
}

// maxBatchRows and maxBatchSeries bound what is kept until it is written.
const (
	maxBatchRows   = 200_000
	maxBatchSeries = 50_000
)

// run reads the hour's samples and writes its rows.
func (f *hourFolder) run(ctx context.Context, t Tables, p hourPlan) (foldStats, error) {
	var stats foldStats
	for tier := range f.batches {
		f.batches[tier].reset()
	}
	began := time.Now()
	span := Span{FromMs: p.state.EndMs - hourMs, ToMs: p.state.EndMs}
	known, err := f.known(ctx, t, p, span)
	if err != nil {
		return stats, err
	}
	err = t.ReadRaw(ctx, span, p.keys, func(r *RawSeries) error {
		if slices.Contains(p.expired, r.Class) && f.samples(r) < known[r.Key] {
			return nil // the rows know of samples that are gone
		}
		stats.samples += int64(len(r.TimesMs) + len(r.Histograms))
		f.add(r, p)
		if !f.batches[Minute].full() && !f.batches[Hour].full() {
			return nil
		}
		if err := f.write(ctx, t, p, &stats); err != nil {
			return err
		}
		// As long as it worked it rests, so that ingest has half of a core at least.
		if !sleep(ctx, time.Since(began)) {
			return ctx.Err()
		}
		began = time.Now()
		return nil
	})
	if err != nil {
		return stats, err
	}
	return stats, f.write(ctx, t, p, &stats)
}

// known returns of how many samples the rows of the hour know that may be gone, by series.
func (f *hourFolder) known(ctx context.Context, t Tables, p hourPlan, span Span) (map[store.Key]uint64, error) {
	if len(p.expired) == 0 {
		return nil, nil
	}
	tier := Minute
	if p.state.Tiers.Has(Hour) {
		tier = Hour
	}
	out := map[store.Key]uint64{}
	err := t.ReadRollups(ctx, tier, span, func(s *Series) error {
		out[s.Key] = s.samples()
		return nil
	})
	return out, err
}

// samples counts the samples of a series as its row does.
func (f *hourFolder) samples(r *RawSeries) uint64 {
	f.one.reset()
	f.one.fold(&f.folder, r, Hour)
	return f.one.batch(Hour, 0).Series[0].samples()
}

// samples counts the samples of which the rows know.
func (s *Series) samples() (n uint64) {
	for _, more := range s.Rows.N {
		n += uint64(more)
	}
	for i := range s.Histograms {
		n += uint64(s.Histograms[i].N)
	}
	return n
}

// add folds a series.
func (f *hourFolder) add(r *RawSeries, p hourPlan) {
	dense := p.state.Tiers.Has(Minute) && len(r.TimesMs)+len(r.Histograms) >= int(p.state.MinSamples)
	if p.state.Tiers.Has(Hour) {
		f.batches[Hour].fold(&f.folder, r, Hour)
		if !dense && p.state.Tiers.Has(Minute) {
			f.batches[Hour].flagLast(NoMinutes)
		}
	}
	if dense {
		f.batches[Minute].fold(&f.folder, r, Minute)
	}
}

// write writes what was folded, and forgets it.
func (f *hourFolder) write(ctx context.Context, t Tables, p hourPlan, stats *foldStats) error {
	failpoint.Hit("downsampler/after-read")
	for _, tier := range []Tier{Minute, Hour} {
		b := &f.batches[tier]
		if len(b.series) > 0 {
			stats.rows[tier] += int64(b.rows.Len() + len(b.histograms))
			if err := t.WriteRollups(ctx, b.batch(tier, p.state.Version)); err != nil {
				return err
			}
			b.reset()
		}
		if tier == Minute {
			failpoint.Hit("downsampler/between-tiers")
		}
	}
	return nil
}

// rowBatch collects rows of many series in columns that they share.
type rowBatch struct {
	rows       Rows
	histograms []HistogramRow
	series     []batchSeries
	out        []Series
	space      Series
}

// batchSeries is where a series' rows begin.
type batchSeries struct {
	key              store.Key
	class            uint8
	rows, histograms int
}

func (b *rowBatch) reset() {
	b.rows.Reset()
	clear(b.histograms)
	b.histograms, b.series = b.histograms[:0], b.series[:0]
}

func (b *rowBatch) full() bool {
	return b.rows.Len()+len(b.histograms) >= maxBatchRows || len(b.series) >= maxBatchSeries
}

// fold adds a series.
func (b *rowBatch) fold(f *Folder, r *RawSeries, tier Tier) {
	b.series = append(b.series, batchSeries{key: r.Key, class: r.Class, rows: b.rows.Len(), histograms: len(b.histograms)})
	b.space.Rows, b.space.Histograms = b.rows, b.histograms
	f.Fold(&b.space, &r.SeriesData, tier, AllColumns)
	b.rows, b.histograms = b.space.Rows, b.space.Histograms
}

// flagLast sets a flag on the rows of the last series.
func (b *rowBatch) flagLast(flag Flags) {
	last := b.series[len(b.series)-1]
	for i := last.rows; i < b.rows.Len(); i++ {
		b.rows.Flags[i] |= flag
	}
	for i := last.histograms; i < len(b.histograms); i++ {
		b.histograms[i].Flags |= flag
	}
}

// batch returns what was collected, in memory that the next series use again.
func (b *rowBatch) batch(tier Tier, version uint64) *Batch {
	b.out = slices.Grow(b.out[:0], len(b.series))
	for i, s := range b.series {
		to := batchSeries{rows: b.rows.Len(), histograms: len(b.histograms)}
		if i+1 < len(b.series) {
			to = b.series[i+1]
		}
		b.out = append(b.out, Series{
			Key: s.key, Class: s.class,
			Rows: b.rows.Slice(s.rows, to.rows), Histograms: b.histograms[s.histograms:to.histograms],
		})
	}
	return &Batch{Tier: tier, Version: version, Series: b.out}
}
