// Package cache owns what is remembered of the answers to queries: the values of range queries in blocks of time, in this
// process and in Redis, and the answers to instant queries of the last second. README.md says why what is remembered is what
// would be computed. It leaves evaluation to the engine that it stands in front of, and telling what has changed to the
// store.
package cache

import (
	"context"
	"log/slog"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/redis/go-redis/v9"
)

// Options are what an [Engine] works with. Engine, Changes and RawFrom are needed.
type Options struct {
	Config Config
	Query  promql.Config

	// Engine evaluates. Its queries have to be planned: see tiered.Query.
	Engine prom.QueryEngine

	// Changes tells what has changed of times that are remembered.
	Changes store.ChangeReader

	// RawFrom returns from when on a tenant's raw samples are complete, in Unix milliseconds.
	RawFrom func(ctx context.Context, tenant string) (int64, error)

	// Redis is nil where nothing is shared between processes. It is not closed.
	Redis redis.Cmdable

	// Build tells one version of the program from others, which do not share what they remember.
	Build string

	// Now is the clock; nil is time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Engine is a promql.QueryEngine that remembers. Its methods may be called from several goroutines at once.
type Engine struct {
	Options
	parser  parser.Parser
	local   *local
	shared  *shared // nil without Redis
	changes changes
	hot     hot
	metrics *metrics

	// assembling bounds the answers that are put together at once: they take memory, and perhaps no turn of the engine.
	assembling chan struct{}
}

var _ prom.QueryEngine = (*Engine)(nil)

// New returns an engine for a valid configuration; it starts nothing.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{Options: o, parser: promql.NewParser(), metrics: newMetrics(o.Registerer)}
	e.local = newLocal(o.Config.MaxBytes, e.metrics)
	if o.Redis != nil {
		e.shared = &shared{client: o.Redis, logger: o.Logger, metrics: e.metrics, now: o.Now}
	}
	e.changes = changes{reader: o.Changes, now: o.Now, known: map[string]knownChanges{}}
	e.assembling = make(chan struct{}, max(1, o.Query.MaxConcurrency))
	e.hot = hot{now: o.Now, flights: map[flightKey]*flight{}, answers: map[string]*flight{}}
	return e
}

// NewInstantQuery implements promql.QueryEngine.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, at time.Time) (prom.Query, error) {
	inner, err := e.Engine.NewInstantQuery(ctx, q, opts, text, at)
	if err != nil || !e.Config.Enabled {
		return inner, err
	}
	return &instantQuery{Query: inner, engine: e, opts: opts, text: text, at: at}, nil
}

// NewRangeQuery implements promql.QueryEngine.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, start, end time.Time, step time.Duration) (prom.Query, error) {
	inner, err := e.Engine.NewRangeQuery(ctx, q, opts, text, start, end, step)
	if err != nil || !e.Config.Enabled {
		return inner, err
	}
	return &rangeQuery{Query: inner, engine: e, queryable: q, opts: opts, text: text, start: start, end: end, step: step}, nil
}
