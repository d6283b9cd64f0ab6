package promql

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// ExprEngine is the stock engine for expressions that are parsed already. The stock engine takes nothing but text; it
// asks its parser for the expression of a text, and the parser here has it ready. So an expression may hold what no
// text can say, and positions that are those of another text.
type ExprEngine struct {
	engine *prom.Engine
	parser *ready
}

// NewExprEngine is [NewEngine] for parsed expressions. Each evaluation takes one of the turns; nil is for evaluations that
// need none. Close the engine when no query runs any more.
func NewExprEngine(cfg Config, turns *Turns, logger *slog.Logger, reg prometheus.Registerer) *ExprEngine {
	p := &ready{Parser: NewParser(), exprs: map[string]parser.Expr{}}
	return &ExprEngine{engine: newEngine(cfg, turns, logger, reg, p), parser: p}
}

// Close ends the engine.
func (e *ExprEngine) Close() error { return e.engine.Close() }

// InstantQuery is NewInstantQuery of the engine. text stands for the expression in logs; the expression belongs to the
// query from then on.
func (e *ExprEngine) InstantQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, expr parser.Expr, at time.Time) (prom.Query, error) {
	held := e.parser.hold(text, expr)
	defer e.parser.release(held)
	return e.engine.NewInstantQuery(parsing(ctx), q, opts, held, at)
}

// RangeQuery is NewRangeQuery of the engine; see InstantQuery.
func (e *ExprEngine) RangeQuery(ctx context.Context, q storage.Queryable, opts prom.QueryOpts, text string, expr parser.Expr, start, end time.Time, step time.Duration) (prom.Query, error) {
	held := e.parser.hold(text, expr)
	defer e.parser.release(held)
	return e.engine.NewRangeQuery(parsing(ctx), q, opts, held, start, end, step)
}

// ready is a parser that gives out expressions that it holds.
type ready struct {
	parser.Parser

	mu    sync.Mutex
	last  uint64
	exprs map[string]parser.Expr
}

// hold returns the text under which the expression is given out. All texts that the engine sees come from here, and no
// two are equal.
func (p *ready) hold(text string, expr parser.Expr) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	text += "\n# " + strconv.FormatUint(p.last, 10)
	p.exprs[text] = expr
	return text
}

func (p *ready) release(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.exprs, text)
}

// ParseExpr implements parser.Parser.
func (p *ready) ParseExpr(text string) (parser.Expr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if expr, ok := p.exprs[text]; ok {
		return expr, nil
	}
	return p.Parser.ParseExpr(text)
}
