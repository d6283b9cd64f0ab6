package cache

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// known are the functions whose value at a time depends on nothing but their arguments at the time. One that is not here, because
// it looks at the range of the query or is new, is not remembered.
var known = map[string]bool{
	"abs": true, "absent": true, "absent_over_time": true, "acos": true, "acosh": true, "asin": true, "asinh": true, "atan": true,
	"atanh": true, "avg_over_time": true, "ceil": true, "changes": true, "clamp": true, "clamp_max": true, "clamp_min": true, "cos": true,
	"cosh": true, "count_over_time": true, "days_in_month": true, "day_of_month": true, "day_of_week": true, "day_of_year": true,
	"deg": true, "delta": true, "deriv": true, "exp": true, "first_over_time": true, "floor": true, "histogram_avg": true,
	"histogram_count": true, "histogram_sum": true, "histogram_stddev": true, "histogram_stdvar": true, "histogram_fraction": true,
	"histogram_quantile": true, "double_exponential_smoothing": true, "hour": true, "idelta": true, "increase": true, "irate": true,
	"label_replace": true, "label_join": true, "last_over_time": true, "ln": true, "log10": true, "log2": true, "mad_over_time": true,
	"max_over_time": true, "min_over_time": true, "ts_of_first_over_time": true, "ts_of_max_over_time": true,
	"ts_of_min_over_time": true, "ts_of_last_over_time": true, "minute": true, "month": true, "pi": true, "predict_linear": true,
	"present_over_time": true, "quantile_over_time": true, "rad": true, "rate": true, "resets": true, "round": true, "scalar": true,
	"sgn": true, "sin": true, "sinh": true, "sqrt": true, "stddev_over_time": true, "stdvar_over_time": true, "sum_over_time": true,
	"tan": true, "tanh": true, "time": true, "timestamp": true, "vector": true, "year": true,
}

// order is what the order of an expression's series depends on, inside the engine.
type order uint8

const (
	// byData is the order of the labels that were read, or of no more than one series: whichever range is evaluated, the
	// series that have a value at a time come in one order.
	byData order = iota

	// random is an order that is another one in each evaluation: the engine collects the series in a map.
	random

	// byRange is the order in which groups appear in the range that is evaluated.
	byRange
)

// name says what becomes of the metric's name. The engine drops names at the end, and if two values of one series disagree
// the first one in the range decides.
type name uint8

const (
	gone name = iota
	kept
	dropped
)

// property is what is known of the series of an expression.
type property struct {
	order   order
	name    name
	integer bool // the values are whole numbers, whose sums are exact in any order
}

// judge returns why the values of an expression depend on the range that is evaluated, "" where they do not.
func judge(expr parser.Expr) string {
	var j judgement
	j.of(expr)
	return j.why
}

type judgement struct{ why string }

func (j *judgement) refuse(why string) {
	if j.why == "" {
		j.why = why
	}
}

func (j *judgement) of(expr parser.Expr) property {
	switch n := expr.(type) {
	case *parser.ParenExpr:
		return j.of(n.Expr)
	case *parser.UnaryExpr:
		p := j.of(n.Expr)
		if n.Op == parser.SUB && p.name == kept {
			p.name = dropped
		}
		return p
	case *parser.MatrixSelector:
		return j.of(n.VectorSelector)
	case *parser.VectorSelector:
		return property{name: kept}
	case *parser.SubqueryExpr:
		return j.of(n.Expr)
	case *parser.Call:
		return j.call(n)
	case *parser.AggregateExpr:
		return j.aggregation(n)
	case *parser.BinaryExpr:
		return j.binary(n)
	}
	return property{} // numbers and strings
}

func (j *judgement) call(n *parser.Call) property {
	var of property
	ranges := false
	for _, arg := range n.Args {
		p := j.of(arg)
		switch arg.Type() {
		case parser.ValueTypeMatrix:
			of, ranges = p, true
		case parser.ValueTypeVector:
			of = p
		}
	}
	of.integer = false
	switch n.Func.Name {
	case "absent", "absent_over_time", "scalar", "vector", "time", "pi":
		return property{}
	case "label_replace", "label_join":
		if dst, ok := n.Args[1].(*parser.StringLiteral); !ok || dst.Val == labels.MetricName {
			j.refuse("a metric's name that is replaced")
		}
		return of
	case "first_over_time", "last_over_time":
		return of
	}
	if of.name == kept {
		of.name = dropped
	}
	if !ranges && of.order == byData {
		of.order = random
	}
	return of
}

func (j *judgement) aggregation(n *parser.AggregateExpr) property {
	if n.Param != nil {
		switch unwrap(n.Param).(type) {
		case *parser.NumberLiteral, *parser.StringLiteral:
		default:
			j.refuse("an aggregation whose parameter is computed")
		}
	}
	p := j.of(n.Expr)
	switch n.Op {
	case parser.SUM, parser.AVG:
		if p.order == byRange && !p.integer {
			j.refuse("groups that are aggregated again in the order in which they appear")
		}
	case parser.STDDEV, parser.STDVAR, parser.TOPK, parser.BOTTOMK, parser.LIMITK:
		if p.order == byRange {
			j.refuse("groups that are aggregated again in the order in which they appear")
		}
	}
	switch n.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		p.order = random
		return p
	case parser.COUNT_VALUES:
		return property{order: random, integer: true}
	}
	out := property{order: byRange, integer: n.Op == parser.COUNT || n.Op == parser.GROUP}
	if !n.Without && slices.Contains(n.Grouping, labels.MetricName) {
		out.name = p.name
	}
	switch {
	case len(n.Grouping) == 0 && !n.Without:
		out.order = byData
	case p.order == random:
		out.order = random
	}
	return out
}

func (j *judgement) binary(n *parser.BinaryExpr) property {
	l, r := j.of(n.LHS), j.of(n.RHS)
	vectors := n.LHS.Type() == parser.ValueTypeVector && n.RHS.Type() == parser.ValueTypeVector
	out := property{order: random, name: l.name}
	if n.LHS.Type() == parser.ValueTypeScalar {
		out.name = r.name
	}
	switch {
	case n.Op == parser.LOR:
		if l.name != r.name && l.name != gone && r.name != gone {
			j.refuse("or between series with and without the metric's name")
		}
		out.name = max(l.name, r.name)
	case vectors && n.VectorMatching != nil && (n.VectorMatching.FillValues.LHS != nil || n.VectorMatching.FillValues.RHS != nil):
		j.refuse("fill modifiers")
	case n.Op == parser.LAND || n.Op == parser.LUNLESS:
	case n.Op.IsComparisonOperator() && !n.ReturnBool:
	case out.name == kept:
		out.name = dropped
	}
	return out
}

// unwrap returns what stands in parentheses.
func unwrap(expr parser.Expr) parser.Expr {
	for {
		p, ok := expr.(*parser.ParenExpr)
		if !ok {
			return expr
		}
		expr = p.Expr
	}
}
