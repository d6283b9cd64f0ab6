package clickhouse

import (
	"context"
	"errors"
	"iter"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// ReadRaw reads the samples of all tenants, or of some series, in a span; see [rollup.Source]. Floats, histograms and starts
// come as three streams in the order of the keys, of which one series of each is in memory.
func (s *Store) ReadRaw(ctx context.Context, span rollup.Span, keys []store.Key, yield func(*rollup.RawSeries) error) error {
	if keys != nil && len(keys) == 0 || span.FromMs >= span.ToMs {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := sqlgen.Points{Keys: keys, MinMs: span.FromMs + 1, MaxMs: span.ToMs}
	floats := newRawStream(func(emit func(*rollup.RawSeries) error) error { return s.rawFloats(ctx, p, emit) })
	defer floats.stop()
	histograms := newRawStream(func(emit func(*rollup.RawSeries) error) error { return s.rawHistograms(ctx, p, emit) })
	defer histograms.stop()
	starts := newRawStream(func(emit func(*rollup.RawSeries) error) error { return s.rawStarts(ctx, p, emit) })
	defer starts.stop()
	for {
		next, err := nextRaw(floats, histograms, starts)
		if err != nil || next == nil {
			return err
		}
		if err := yield(next); err != nil {
			return err
		}
	}
}

// nextRaw makes one series of what the streams have of the smallest key; nil is the end.
func nextRaw(floats, histograms, starts *rawStream) (*rollup.RawSeries, error) {
	f, h := floats.peek(), histograms.peek()
	if err := errors.Join(floats.err, histograms.err); err != nil {
		return nil, err
	}
	var out *rollup.RawSeries
	switch {
	case f == nil && h == nil:
		return nil, nil
	case h == nil || f != nil && f.Key.Compare(h.Key) < 0:
		out = f
		floats.taken()
	case f == nil || h.Key.Compare(f.Key) < 0:
		out = h
		histograms.taken()
	default:
		out = f
		out.Histograms = h.Histograms
		oneKindEach(&out.SeriesData)
		floats.taken()
		histograms.taken()
	}
	st := starts.peek()
	for ; st != nil && st.Key.Compare(out.Key) < 0; st = starts.peek() {
		starts.taken()
	}
	out.Starts = nil
	if st != nil && st.Key == out.Key {
		out.Starts = st.Starts
		starts.taken()
	}
	return out, starts.err
}

// rawStream pulls the series out of a read that pushes them. A series stays valid until the next peek after taken.
type rawStream struct {
	pull func() (*rollup.RawSeries, error, bool)
	stop func()
	head *rollup.RawSeries
	full bool // head has not been taken
	err  error
}

func newRawStream(push func(emit func(*rollup.RawSeries) error) error) *rawStream {
	r := &rawStream{}
	r.pull, r.stop = iter.Pull2(func(yield func(*rollup.RawSeries, error) bool) {
		stopped := errors.New("nobody reads on")
		err := push(func(one *rollup.RawSeries) error {
			if !yield(one, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	})
	return r
}

// peek returns the next series, nil at the end and after an error.
func (r *rawStream) peek() *rollup.RawSeries {
	if !r.full && r.err == nil {
		r.head, r.err, _ = r.pull()
		r.full = true
	}
	return r.head
}

func (r *rawStream) taken() { r.full = false }

// gather collects rows of one key after the other in a series and emits it when the key changes.
type gather struct {
	series rollup.RawSeries
	open   bool
	emit   func(*rollup.RawSeries) error
}

// at makes the series that of the key.
func (g *gather) at(k store.Key, class uint8) error {
	if g.open && g.series.Key == k {
		return nil
	}
	if err := g.flush(); err != nil {
		return err
	}
	d := &g.series.SeriesData
	d.TimesMs, d.Values, d.Histograms, d.Starts = d.TimesMs[:0], d.Values[:0], nil, nil
	g.series.Key, g.series.Class, g.open = k, class, true
	return nil
}

func (g *gather) flush() error {
	if !g.open {
		return nil
	}
	g.open = false
	return g.emit(&g.series)
}

func (s *Store) rawFloats(ctx context.Context, p sqlgen.Points, emit func(*rollup.RawSeries) error) error {
	var k keyColumns
	var times, mants proto.ColInt64
	var exps proto.ColInt8
	var classes proto.ColUInt8
	columns := proto.Results{{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times},
		{Name: "exp", Data: &exps}, {Name: "mant", Data: &mants}, {Name: "class", Data: &classes}}
	q := withKeys(p)
	q.Result = columns
	g := gather{emit: emit}
	err := s.query(ctx, "raw samples", p.Raw("samples", namesOf(columns)), q, func(rows int) error {
		b := &store.Samples{Metrics: k.metrics, IDs: k.ids, TimesMs: times, Exps: exps, Mants: mants}
		for i := 0; i < rows; {
			j := i + 1
			for j < rows && k.ids[j] == k.ids[i] && k.metrics[j] == k.metrics[i] {
				j++
			}
			if err := g.at(store.Key{Metric: k.metrics[i], ID: k.ids[i]}, classes[i]); err != nil {
				return err
			}
			appendPoints(&g.series.SeriesData, b, i, j)
			i = j
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.flush()
}

func (s *Store) rawHistograms(ctx context.Context, p sqlgen.Points, emit func(*rollup.RawSeries) error) error {
	var k keyColumns
	var times proto.ColInt64
	var blobs proto.ColStr
	var classes proto.ColUInt8
	columns := proto.Results{{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times},
		{Name: "blob", Data: &blobs}, {Name: "class", Data: &classes}}
	q := withKeys(p)
	q.Result = columns
	g := gather{emit: emit}
	var last []byte
	err := s.queryOn(ctx, s.besides, "raw histograms", p.Raw("histograms", namesOf(columns)), q, func(rows int) error {
		for i := range rows {
			if err := g.at(store.Key{Metric: k.metrics[i], ID: k.ids[i]}, classes[i]); err != nil {
				return err
			}
			var err error
			d := &g.series.SeriesData
			if d.Histograms, last, err = appendHistogram(d.Histograms, last, times[i], blobs.RowBytes(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.flush()
}

func (s *Store) rawStarts(ctx context.Context, p sqlgen.Points, emit func(*rollup.RawSeries) error) error {
	var k keyColumns
	var times, starts proto.ColInt64
	columns := proto.Results{{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times}, {Name: "start", Data: &starts}}
	q := withKeys(p)
	q.Result = columns
	g := gather{emit: emit}
	err := s.queryOn(ctx, s.besides, "raw starts", p.RawStarts(namesOf(columns)), q, func(rows int) error {
		for i := range rows {
			if err := g.at(store.Key{Metric: k.metrics[i], ID: k.ids[i]}, 0); err != nil {
				return err
			}
			g.series.Starts = appendStart(g.series.Starts, store.StartPoint{TimeMs: times[i], StartMs: starts[i]}, p.MinMs)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.flush()
}
