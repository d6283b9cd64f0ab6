package cache

import (
	"context"
	"strconv"
	"time"

	"github.com/metricstream/metricstream/promql/plan"
	prom "github.com/prometheus/prometheus/promql"
)

func blockKey(identity string, b block) string {
	return identity + ":" + strconv.FormatInt(b.length/leastBlockMs, 10) + ":" + strconv.FormatInt(b.number, 10)
}

// whole evaluates the whole range and remembers nothing.
func (q *rangeQuery) whole(ctx context.Context, result, why string) *prom.Result {
	q.cached.Remembered, q.cached.Why = 0, why
	q.count(result)
	return q.Query.Exec(ctx)
}

// remember evaluates the whole range and remembers it.
func (q *rangeQuery) remember(ctx context.Context, l *look) *prom.Result {
	q.cached.Remembered = 0
	res := q.Query.Exec(ctx)
	q.count(miss)
	m, ok := res.Value.(prom.Matrix)
	if res.Err != nil || !ok {
		return res
	}
	if len(res.Warnings) > 0 {
		q.cached.Why = "it has annotations"
		return res
	}
	q.store(ctx, l, m)
	return res
}

func (q *rangeQuery) count(result string) {
	q.cached.Result = result
	m := q.engine.metrics
	m.queries.WithLabelValues(result).Inc()
	if result == bypass {
		return
	}
	m.steps.WithLabelValues(remembered).Add(float64(q.cached.Remembered))
	m.steps.WithLabelValues(evaluatedNow).Add(float64(q.cached.Steps - q.cached.Remembered))
}

// assemble evaluates the pieces that nobody remembers, and puts the answer together. It is false where the pieces do not
// make the answer: the whole has to be evaluated then.
func (q *rangeQuery) assemble(ctx context.Context, l *look, pieces []piece) (*prom.Result, bool) {
	a := newAssembly(l.grid.count)
	for _, p := range pieces {
		if p.entry != nil {
			if err := a.addEntry(p.entry, p.span); err != nil {
				q.engine.metrics.corrupt.Inc()
				return nil, false
			}
			continue
		}
		if res, ok := q.evaluate(ctx, l.grid.evaluated(p.span), p.span, a); !ok {
			return res, res != nil
		}
	}
	m := a.matrix()
	if m.TotalSamples() > q.engine.Query.MaxSamples {
		return nil, false // the engine says so
	}
	q.store(ctx, l, m)
	return &prom.Result{Value: m}, true
}

// evaluate evaluates a part of the range from raw samples, and adds what is wanted of it. It is false where that failed, with
// the error as the result, or none where the whole range has to be evaluated.
func (q *rangeQuery) evaluate(ctx context.Context, times, wanted span, a *assembly) (*prom.Result, bool) {
	ctx = plan.WithResolution(ctx, plan.OnlyRaw)
	part, err := q.engine.Engine.NewRangeQuery(ctx, q.queryable, q.opts, q.text, time.UnixMilli(times.from), time.UnixMilli(times.to), q.step)
	if err != nil {
		return &prom.Result{Err: err}, false
	}
	defer part.Close()
	res := part.Exec(ctx)
	q.stats = part.Stats()
	whole := planOf(q.Query).Selectors
	for i, s := range planOf(part).Selectors {
		if i < len(whole) {
			whole[i].Read.Series.Add(s.Read.Series.Load())
			whole[i].Read.Rows.Add(s.Read.Rows.Load())
			whole[i].Read.RawSamples.Add(s.Read.RawSamples.Load())
		}
	}
	m, ok := res.Value.(prom.Matrix)
	switch {
	case res.Err != nil:
		return res, false
	case !ok || len(res.Warnings) > 0:
		return nil, false
	}
	a.addMatrix(m, wanted)
	return nil, true
}

// fetch returns what is kept of the blocks and holds, nil for each of which nothing is.
func (e *Engine) fetch(ctx context.Context, l *look) []*entry {
	out := make([]*entry, len(l.keys))
	var missing []int
	for i, key := range l.keys {
		if out[i] = e.local.entry(key); out[i] != nil && !l.holds(out[i], i, e.Config.TTL) {
			e.metrics.fetches.WithLabelValues(invalidated).Inc()
			out[i] = nil
		}
		if out[i] == nil {
			missing = append(missing, i)
			continue
		}
		e.metrics.fetches.WithLabelValues(fromLocal).Inc()
	}
	if e.shared == nil || len(missing) == 0 {
		e.metrics.fetches.WithLabelValues(absent).Add(float64(len(missing)))
		return out
	}
	keys := make([]string, len(missing))
	for n, i := range missing {
		keys[n] = l.keys[i]
	}
	for n, found := range e.shared.entries(ctx, keys) {
		i := missing[n]
		switch {
		case found == nil:
			e.metrics.fetches.WithLabelValues(absent).Inc()
		case !l.holds(found, i, e.Config.TTL):
			e.metrics.fetches.WithLabelValues(invalidated).Inc()
		default:
			e.metrics.fetches.WithLabelValues(fromShared).Inc()
			out[i] = found
			e.local.put(keys[n], found)
		}
	}
	return out
}

// growthParts is the part of a block by which what is kept of it has to grow to be written anew: an eighth.
const growthParts = 8

// store keeps what is settled of an answer.
func (q *rangeQuery) store(ctx context.Context, l *look, m prom.Matrix) {
	e := q.engine
	var keys []string
	var entries []*entry
	for i, b := range l.blocks {
		have := l.grid.onGrid(span{max(b.times.from, l.grid.first), min(b.times.to, l.grid.last(), l.horizon)})
		if have.from > have.to {
			continue
		}
		one := q.made(l, i, have, m)
		if one == nil {
			continue
		}
		e.local.put(l.keys[i], one)
		keys, entries = append(keys, l.keys[i]), append(entries, one)
	}
	if e.shared != nil && len(entries) > 0 {
		e.shared.put(ctx, keys, entries, e.Config.TTL)
	}
}

// made returns a new entry for the i-th block, of what an answer has of it and what was kept before. It is nil where it would not
// be worth it.
func (q *rangeQuery) made(l *look, i int, have span, m prom.Matrix) *entry {
	before, b := l.had[i], l.blocks[i]
	made := entry{times: have, step: l.grid.step, changes: l.changes[i], rawFrom: l.rawFrom, madeMs: l.nowMs}
	if before != nil {
		made.times = have.union(before.times)
		made.madeMs = before.madeMs // the oldest part decides on how long it is kept
		grown := l.grid.steps(made.times) - l.grid.steps(before.times)
		if grown == 0 || grown*growthParts < l.grid.steps(b.times) && made.times != b.times {
			return nil
		}
	}
	series, ok := union(l.grid, m, have, before, made.times)
	if !ok || before != nil && sizeOf(series) > maxEntryBytes {
		made.times, series = have, slice(m, have)
	}
	if sizeOf(series) > maxEntryBytes {
		q.engine.metrics.tooLarge.Inc()
		return nil
	}
	return encode(l.keys[i], made, series)
}

// union returns the series of an answer and of an entry that goes beyond it. It is false where there is a gap between the two.
func union(g grid, m prom.Matrix, have span, before *entry, all span) ([]prom.Series, bool) {
	if before == nil || have == all {
		return slice(m, have), true
	}
	if have.from > before.times.to+g.step || before.times.from > have.to+g.step {
		return nil, false
	}
	a := newAssembly(g.steps(all))
	a.addMatrix(m, span{have.from, min(have.to, before.times.from-1)})
	if err := a.addEntry(before, before.times); err != nil {
		return nil, false
	}
	a.addMatrix(m, span{max(have.from, before.times.to+1), have.to})
	return a.matrix(), true
}
