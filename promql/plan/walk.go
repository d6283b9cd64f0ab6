package plan

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// tiered are the functions of ranges that rows of a tier hold the answer of.
var tiered = map[string]bool{
	"rate": true, "increase": true, "delta": true, "irate": true, "idelta": true, "resets": true, "changes": true,
	"count_over_time": true, "present_over_time": true, "absent_over_time": true, "min_over_time": true,
	"max_over_time": true, "sum_over_time": true, "avg_over_time": true, "first_over_time": true,
	"last_over_time": true, "stddev_over_time": true, "stdvar_over_time": true,
	"ts_of_first_over_time": true, "ts_of_last_over_time": true,
}

// byStarts are the functions that look at start timestamps.
var byStarts = map[string]bool{"rate": true, "increase": true, "irate": true, "resets": true}

// walker collects the selectors of an expression.
type walker struct {
	query Query
	found []*Selector
}

// place is where in the expression a node stands.
type place struct {
	times Times

	// raw says why everything below has to be read from raw; subquery that there is one above.
	raw      string
	subquery bool

	// lasts says that raw is only for the function right above.
	lasts bool
}

func selectors(expr parser.Expr, q Query) []*Selector {
	w := &walker{query: q}
	w.walk(expr, place{times: q.grid()})
	return w.found
}

func (w *walker) walk(expr parser.Expr, p place) {
	switch n := expr.(type) {
	case nil:
	case *parser.AggregateExpr:
		w.aggregation(n, p)
	case *parser.BinaryExpr:
		w.walk(n.LHS, p)
		w.walk(n.RHS, p)
	case *parser.Call:
		w.call(n, p)
	case *parser.ParenExpr:
		w.walk(n.Expr, p)
	case *parser.UnaryExpr:
		w.walk(n.Expr, p)
	case *parser.StepInvariantExpr:
		w.walk(n.Expr, p)
	case *parser.SubqueryExpr:
		w.subquery(n, p)
	case *parser.MatrixSelector:
		p.raw = "a range of samples"
		w.selector(n.VectorSelector.(*parser.VectorSelector), nil, milliseconds(n.Range), p)
	case *parser.VectorSelector:
		w.selector(n, nil, milliseconds(w.query.Lookback), p)
	}
}

func (w *walker) call(n *parser.Call, p place) {
	name := n.Func.Name
	switch {
	case name == "info":
		p.raw = "info looks at the selectors themselves"
	case name == "start_timestamp":
		p.raw = "start timestamps of samples"
	}
	p.lasts = !tiered[name] && p.raw == ""
	for _, arg := range n.Args {
		m, ok := arg.(*parser.MatrixSelector)
		if !ok {
			below := p
			below.lasts = false
			w.walk(arg, below)
			continue
		}
		if !tiered[name] {
			p.raw = "no tier has what " + name + " needs"
		} else if w.query.NoStarts && byStarts[name] {
			p.raw = "start timestamps are folded into the tiers"
		}
		w.selector(m.VectorSelector.(*parser.VectorSelector), n, milliseconds(m.Range), p)
	}
}

// subquery walks into a subquery, whose inside is evaluated at times of its own.
func (w *walker) subquery(n *parser.SubqueryExpr, p place) {
	step := n.Step
	if step == 0 {
		step = w.query.SubqueryStep
	}
	if n.Timestamp != nil {
		p = p.pinned()
		p.times = at(*n.Timestamp)
	}
	p.times = p.times.shift(milliseconds(n.OriginalOffset)).subquery(milliseconds(n.Range), milliseconds(step))
	p.subquery = true
	w.walk(n.Expr, p)
}

// pinned is a place with an @ modifier. Inside a subquery the engine adjusts the offset of what has one by that of the
// subquery, in some cases twice; raw is read at the times that it says.
func (p place) pinned() place {
	if p.subquery && p.raw == "" {
		p.raw = "an @ modifier inside a subquery"
	}
	return p
}

func (w *walker) selector(n *parser.VectorSelector, call *parser.Call, rangeMs int64, p place) {
	s := &Selector{Text: n.String(), Matchers: n.LabelMatchers, RangeMs: rangeMs, Read: &Read{}, Pos: n.PosRange, node: n, pos: n.PosRange, call: call}
	s.skipBuckets = n.SkipHistogramBuckets
	times := p.times
	if n.Timestamp != nil {
		p = p.pinned()
		times = at(*n.Timestamp)
	}
	s.Times = times.shift(milliseconds(n.OriginalOffset))
	if call != nil {
		s.matrix = *call.Args[indexOfRange(call)].(*parser.MatrixSelector)
		s.Function, s.Text, s.Pos = call.Func.Name, s.matrix.String(), s.matrix.PositionRange()
	}
	s.lasts = p.lasts && !n.Anchored && !n.Smoothed && s.Times.Count > 0 && s.BeginMs() >= 0 && !(p.subquery && n.Timestamp != nil)
	switch {
	case p.raw != "":
		s.rawOnly = p.raw
	case n.Anchored || n.Smoothed:
		s.rawOnly = "anchored and smoothed look at samples around the window"
	case s.Times.Count == 0:
		s.rawOnly = "it is never evaluated"
	case s.BeginMs() < 0:
		s.rawOnly = "times before 1970"
	}
	w.found = append(w.found, s)
}

// aggregation notes the aggregation on the call right below it, if it is one that can be done in parts.
func (w *walker) aggregation(n *parser.AggregateExpr, p place) {
	w.walk(n.Param, p)
	from := len(w.found)
	w.walk(n.Expr, p)
	call, ok := inner(n.Expr).(*parser.Call)
	if !ok || len(w.found) != from+1 || w.found[from].call != call || call.Func.Name == "absent_over_time" {
		return
	}
	switch n.Op {
	case parser.SUM, parser.COUNT, parser.MIN, parser.MAX, parser.AVG, parser.GROUP:
		w.found[from].Group = &Group{Op: n.Op, Without: n.Without, Labels: slices.Clone(n.Grouping)} // the engine sorts its own
	}
}

// inner returns what is inside the nodes that change nothing.
func inner(expr parser.Expr) parser.Expr {
	for {
		switch n := expr.(type) {
		case *parser.ParenExpr:
			expr = n.Expr
		case *parser.StepInvariantExpr:
			expr = n.Expr
		default:
			return expr
		}
	}
}

func indexOfRange(call *parser.Call) int {
	for i, arg := range call.Args {
		if _, ok := arg.(*parser.MatrixSelector); ok {
			return i
		}
	}
	return 0
}
