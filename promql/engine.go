// Package promql owns how the stock Prometheus engine is set up here: its limits and its dialect. It leaves what
// the engine reads to package adapter and how it is asked to package api.
package promql

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// SubqueryStep is the step of a subquery that names none: Prometheus' default evaluation interval.
const SubqueryStep = time.Minute

// NewEngine returns an engine for a configuration that is valid. Its metrics have the engine's own names behind
// the prefix metricstream_. Close it when no query runs any more.
//
// The dialect is that of Prometheus' own tests, so that what passes them is what answers users. It differs from a
// Prometheus without feature flags in three ways. Experimental functions and the fill modifiers can be used. The
// metric name is dropped at the end of a query rather than by each function (promql-delayed-name-removal), which
// only turns some errors about duplicate series into answers and lets label_replace see the name. And rate and
// its kin see a counter reset where a series' start timestamp says there was one (use-start-timestamps); only
// senders that send start timestamps notice, and a request can turn it off.
//
// It has turns of its own; see [NewExprEngine] for an engine that shares them.
func NewEngine(cfg Config, logger *slog.Logger, reg prometheus.Registerer) *prom.Engine {
	return newEngine(cfg, NewTurns(cfg, nil), logger, reg, NewParser())
}

func newEngine(cfg Config, turns *Turns, logger *slog.Logger, reg prometheus.Registerer, p parser.Parser) *prom.Engine {
	var waiting prom.QueryTracker
	if turns != nil {
		waiting = &tracker{turns: turns, taken: map[int]func(){}}
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWithPrefix("metricstream_", reg)
	}
	return prom.NewEngine(prom.EngineOpts{
		Logger:                   logger,
		Reg:                      reg,
		MaxSamples:               cfg.MaxSamples,
		Timeout:                  cfg.Timeout,
		ActiveQueryTracker:       waiting,
		LookbackDelta:            cfg.LookbackDelta,
		NoStepSubqueryIntervalFn: func(int64) int64 { return SubqueryStep.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true, // computed only for requests that ask for it
		EnableDelayedNameRemoval: true,
		UseStartTimestamps:       true,
		Parser:                   p,
	})
}

// NewParser returns a parser of the dialect that the engine of [NewEngine] evaluates.
func NewParser() parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions: true,
		EnableBinopFillModifiers:    true,
		EnableUnquotedUTF8Names:     true,
	})
}
