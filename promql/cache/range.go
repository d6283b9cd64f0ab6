package cache

import (
	"context"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/timestamp"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"
)

// rangeQuery answers of what is remembered, and evaluates the rest. The query that it wraps is that of the whole range.
type rangeQuery struct {
	prom.Query
	engine     *Engine
	queryable  storage.Queryable
	opts       prom.QueryOpts
	text       string
	start, end time.Time
	step       time.Duration

	cached plan.Cached
	stats  *stats.Statistics
}

// planned is a query of an engine that has decided on the routes of its selectors.
type planned interface{ Plan() *plan.Plan }

// Plan returns the plan of the whole range.
func (q *rangeQuery) Plan() *plan.Plan { return planOf(q.Query) }

// Cached says, after Exec, what was remembered.
func (q *rangeQuery) Cached() plan.Cached { return q.cached }

// Stats are those of the last evaluation.
func (q *rangeQuery) Stats() *stats.Statistics {
	if q.stats != nil {
		return q.stats
	}
	return q.Query.Stats()
}

func planOf(q prom.Query) *plan.Plan {
	if p, ok := q.(planned); ok {
		return p.Plan()
	}
	return &plan.Plan{}
}

// Exec answers the query.
func (q *rangeQuery) Exec(ctx context.Context) *prom.Result {
	grid := gridOf(timestamp.FromTime(q.start), timestamp.FromTime(q.end), q.step)
	q.cached = plan.Cached{Result: bypass, Steps: grid.count}
	shape, why := q.usable(ctx, grid)
	if why != "" {
		return q.whole(ctx, bypass, why)
	}
	look, why := q.look(ctx, grid, shape)
	if why != "" {
		return q.whole(ctx, bypass, why)
	}
	entries := q.engine.fetch(ctx, look)
	pieces := grid.pieces(entries)
	look.had = entries
	q.cached.Remembered = 0
	fresh := 0
	for _, p := range pieces {
		if p.entry == nil {
			fresh++
		} else {
			q.cached.Remembered += grid.steps(p.span)
		}
	}
	if q.cached.Remembered*leastRemembered < grid.count || fresh > maxFresh {
		return q.remember(ctx, look)
	}
	result := hit
	if fresh > 0 {
		result = partial
	}
	select {
	case q.engine.assembling <- struct{}{}:
	case <-ctx.Done():
		return q.whole(ctx, bypass, "its time is over")
	}
	answer, ok := q.assemble(ctx, look, pieces)
	<-q.engine.assembling
	if !ok {
		return q.remember(ctx, look)
	}
	q.count(result)
	return answer
}

const (
	// leastRemembered is the part of a query that has to be remembered to be worth it: a quarter.
	leastRemembered = 4

	// maxFresh is how many ranges are evaluated apart from each other.
	maxFresh = 4

	// maxTimeMs is far in the future, and far from the end of the numbers.
	maxTimeMs = 1 << 50
)

// usable returns the shape of the query, or why nothing that is remembered is to be used for it.
func (q *rangeQuery) usable(ctx context.Context, g grid) (*shape, string) {
	switch {
	case store.Fresh(ctx):
		return nil, "a strong read"
	case promql.NoStore(ctx):
		return nil, "Cache-Control"
	case q.opts != nil && q.opts.EnablePerStepStats():
		return nil, "statistics of each step"
	case g.count < 2 || g.first < 0 || g.last() > maxTimeMs || g.step > maxBlockMs/leastSteps || q.step%time.Millisecond != 0:
		return nil, "the times of its evaluation"
	}
	for _, s := range planOf(q.Query).Selectors {
		if s.Tier != rollup.Raw {
			return nil, "a tier answers it"
		}
	}
	expr, err := q.engine.parser.ParseExpr(q.text)
	if err != nil {
		return nil, "it cannot be parsed"
	}
	return shapeOf(expr, q.engine.lookback(q.opts))
}

// look is what is known before anything is fetched: where to look, and what has to be true of what is found.
type look struct {
	grid    grid
	shape   *shape
	blocks  []block
	keys    []string
	changes []uint64 // of each block

	nowMs   int64
	rawFrom int64
	horizon int64 // the last time of which the values are settled

	had []*entry // what was found and holds, of each block
}

// look finds out what has changed. It comes before anything is evaluated: what changes after it is not believed to be in
// what is remembered.
func (q *rangeQuery) look(ctx context.Context, g grid, s *shape) (*look, string) {
	e := q.engine
	l := &look{grid: g, shape: s, blocks: g.blocks(), nowMs: e.Now().UnixMilli()}
	settled := l.nowMs - e.Config.MaxFreshness.Milliseconds()
	l.horizon = settled - max(s.reach.to, 0)
	for _, p := range s.pinned {
		if p.to > settled {
			return nil, "an @ modifier that names a time which is not over"
		}
	}
	all := s.data(span{l.blocks[0].number * l.blocks[0].length, (l.blocks[len(l.blocks)-1].number + 1) * l.blocks[0].length})
	id := tenant.FromContext(ctx)
	found, err := e.changes.read(ctx, metricsOf(id, s), all)
	if err == nil {
		l.rawFrom, err = e.rawFrom(ctx, id)
	}
	if err != nil {
		e.metrics.failures.Inc()
		return nil, "what has changed cannot be read"
	}
	if len(found) > maxChanges {
		return nil, "too much has changed"
	}
	identity := e.identity(ctx, q.opts, q.text, g.step, g.phase())
	for _, b := range l.blocks {
		data := s.data(span{b.number * b.length, (b.number+1)*b.length - 1})
		l.changes = append(l.changes, found.In(data.from, data.to))
		l.keys = append(l.keys, blockKey(identity, b))
	}
	return l, ""
}

// metricsOf are the metrics whose changes matter to a query, nil for all.
func metricsOf(id string, s *shape) []uint32 {
	if s.everyMetric {
		return nil
	}
	out := []uint32{store.EverySeries}
	for _, one := range tenant.Split(id) {
		out = append(out, store.MetricOf(one, ""))
		for _, name := range s.metrics {
			out = append(out, store.MetricOf(one, name))
		}
	}
	return out
}

// rawFrom is from when on the samples of all the tenants of a name are complete.
func (e *Engine) rawFrom(ctx context.Context, id string) (int64, error) {
	out := int64(0)
	for _, one := range tenant.Split(id) {
		from, err := e.RawFrom(ctx, one)
		if err != nil {
			return 0, err
		}
		out = max(out, from)
	}
	return out, nil
}

// holds reports whether an entry of a block is what would be computed now.
func (l *look) holds(e *entry, i int, ttl time.Duration) bool {
	b := l.blocks[i]
	if e.step != l.grid.step || mod(e.times.from-l.grid.first, e.step) != 0 || e.times.from < b.times.from || e.times.to > b.times.to {
		return false
	}
	if age := l.nowMs - e.madeMs; age > ttl.Milliseconds() || age < -maxClockMs {
		return false
	}
	// What has expired since is not to be seen any more.
	return e.changes == l.changes[i] && (e.rawFrom == l.rawFrom || l.shape.data(e.times).from >= l.rawFrom)
}

// maxClockMs is how far in the future an entry of another process may have been made.
const maxClockMs = 60_000
