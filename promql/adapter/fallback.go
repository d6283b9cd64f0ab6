package adapter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// maxSingleReads is the number of series up to which each is read by itself.
const maxSingleReads = 20

// addRaw answers for the series whose rows cannot: the engine evaluates the function over their raw samples.
func (t *tierRead) addRaw(ctx context.Context, s store.Selection) error {
	if len(t.raw) == 0 {
		return nil
	}
	if t.sel.Expired != "" {
		t.warnings.Add(fmt.Errorf("%w: %s: %d series need raw samples beside tier %s, which have expired %s",
			annotations.PromQLWarning, t.sel.Text, len(t.raw), t.sel.Tier, t.sel.Expired))
	}
	s.MinMs, s.MaxMs = t.sel.BeginMs()+1, t.sel.EndMs()
	found, err := t.q.readSeries(ctx, s, t.raw)
	if err != nil {
		return err
	}
	for _, d := range found {
		t.sel.Read.RawSamples.Add(int64(len(d.TimesMs) + len(d.Histograms)))
		if t.sel.Instant() {
			t.list = append(t.list, &series{d})
			continue
		}
		if err := t.evaluate(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// readSeries reads some series of a selection.
func (q *querier) readSeries(ctx context.Context, s store.Selection, wanted []labels.Labels) ([]*store.SeriesData, error) {
	selections := []store.Selection{s}
	if len(wanted) <= maxSingleReads {
		selections = selections[:0]
		for _, ls := range wanted {
			one := s
			one.Matchers = slices.Clone(s.Matchers)
			ls.Range(func(l labels.Label) {
				one.Matchers = append(one.Matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
			})
			selections = append(selections, one)
		}
	}
	keys := map[string]bool{}
	for _, ls := range wanted {
		keys[string(ls.Bytes(nil))] = true
	}
	var found []*store.SeriesData
	for _, one := range selections {
		var list []*store.SeriesData
		err := q.reader.Select(ctx, one, func(d *store.SeriesData) error {
			if key := string(d.Labels.Bytes(nil)); keys[key] {
				delete(keys, key)
				list = append(list, d)
				return q.budget.take(len(d.TimesMs) + len(d.Histograms))
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		if err := q.setResetHints(ctx, one, list); err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	return found, nil
}

// evaluate has the engine evaluate the selector's function over one series.
func (t *tierRead) evaluate(ctx context.Context, d *store.SeriesData) error {
	times, from := t.sel.Times, single{&series{d}}
	start := time.UnixMilli(times.FirstMs)
	ctx = plan.NewContext(ctx, nil)
	var query prom.Query
	var err error
	if times.Count == 1 {
		query, err = t.q.engine.InstantQuery(ctx, from, nil, t.sel.Text, t.sel.RawCall(), start)
	} else {
		step := time.Duration(times.StepMs) * time.Millisecond
		query, err = t.q.engine.RangeQuery(ctx, from, nil, t.sel.Text, t.sel.RawCall(), start, time.UnixMilli(times.LastMs()), step)
	}
	if err != nil {
		return err
	}
	defer query.Close()
	res := query.Exec(ctx)
	t.warnings.Merge(res.Warnings)
	if res.Err != nil {
		return res.Err
	}
	g := t.newGrid(d.Labels)
	g.histograms = make([]*histogram.FloatHistogram, times.Count)
	switch v := res.Value.(type) {
	case prom.Vector:
		for _, p := range v {
			g.set(p.T, p.F, p.H)
		}
	case prom.Matrix:
		for _, one := range v {
			for _, p := range one.Floats {
				g.set(p.T, p.F, nil)
			}
			for _, p := range one.Histograms {
				g.set(p.T, 0, p.H.Copy())
			}
		}
	}
	t.put(g.labels, g.values, g.histograms)
	return nil
}

// set puts a point in its place.
func (g *grid) set(timeMs int64, v float64, h *histogram.FloatHistogram) {
	i := 0
	if g.times.StepMs > 0 {
		i = int((timeMs - g.times.FirstMs) / g.times.StepMs)
	}
	if h != nil {
		g.histograms[i] = h
		return
	}
	g.values[i] = v
}

// single is a queryable of one series, whatever is asked for.
type single struct{ series storage.Series }

func (s single) Querier(int64, int64) (storage.Querier, error) {
	return singleQuerier{storage.NoopQuerier(), s.series}, nil
}

type singleQuerier struct {
	storage.Querier
	series storage.Series
}

func (q singleQuerier) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	r := &read{done: make(chan struct{}), list: []storage.Series{q.series}}
	close(r.done)
	return &seriesSet{read: r, at: -1}
}
