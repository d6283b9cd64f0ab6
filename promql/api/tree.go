package api

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// node is an object of the tree that /parse_query returns. Its keys are those that Prometheus' own user
// interface reads.
type node map[string]any

// treeBuilder keeps the first error, so that the translation reads as the shape it makes.
type treeBuilder struct{ err error }

// treeOf translates an expression. An expression of a kind that this version does not know is an error.
func treeOf(expr parser.Expr) (any, error) {
	var b treeBuilder
	tree := b.expr(expr)
	return tree, b.err
}

func (b *treeBuilder) expr(e parser.Expr) any {
	switch e := e.(type) {
	case nil:
		return nil
	case *parser.AggregateExpr:
		return node{"type": "aggregation", "op": e.Op.String(), "expr": b.expr(e.Expr), "param": b.expr(e.Param),
			"grouping": list(e.Grouping), "without": e.Without}
	case *parser.BinaryExpr:
		return node{"type": "binaryExpr", "op": e.Op.String(), "lhs": b.expr(e.LHS), "rhs": b.expr(e.RHS),
			"matching": matching(e.VectorMatching), "bool": e.ReturnBool}
	case *parser.Call:
		return b.call(e)
	case *parser.MatrixSelector:
		return b.matrix(e)
	case *parser.SubqueryExpr:
		return node{"type": "subquery", "expr": b.expr(e.Expr),
			"range": ms(e.Range), "rangeExpr": b.duration(e.RangeExpr),
			"offset": ms(e.OriginalOffset), "offsetExpr": b.duration(e.OriginalOffsetExpr),
			"step": ms(e.Step), "stepExpr": b.duration(e.StepExpr),
			"timestamp": e.Timestamp, "startOrEnd": startOrEnd(e.StartOrEnd)}
	case *parser.DurationExpr:
		return b.duration(e)
	case *parser.NumberLiteral:
		return node{"type": "numberLiteral", "val": number(e.Val)}
	case *parser.ParenExpr:
		return node{"type": "parenExpr", "expr": b.expr(e.Expr)}
	case *parser.StringLiteral:
		return node{"type": "stringLiteral", "val": e.Val}
	case *parser.UnaryExpr:
		return node{"type": "unaryExpr", "op": e.Op.String(), "expr": b.expr(e.Expr)}
	case *parser.VectorSelector:
		return b.vector(e)
	default:
		b.err = &apiError{internal, fmt.Errorf("cannot translate an expression of type %T", e)}
		return nil
	}
}

func (b *treeBuilder) call(e *parser.Call) node {
	args := make([]any, 0, len(e.Args))
	for _, arg := range e.Args {
		args = append(args, b.expr(arg))
	}
	return node{"type": "call", "args": args, "func": node{
		"name": e.Func.Name, "argTypes": e.Func.ArgTypes, "variadic": e.Func.Variadic, "returnType": e.Func.ReturnType}}
}

func (b *treeBuilder) vector(e *parser.VectorSelector) node {
	return node{"type": "vectorSelector", "name": e.Name, "matchers": matchers(e.LabelMatchers),
		"offset": ms(e.OriginalOffset), "offsetExpr": b.duration(e.OriginalOffsetExpr),
		"timestamp": e.Timestamp, "startOrEnd": startOrEnd(e.StartOrEnd),
		"anchored": e.Anchored, "smoothed": e.Smoothed}
}

func (b *treeBuilder) matrix(e *parser.MatrixSelector) any {
	vs, ok := e.VectorSelector.(*parser.VectorSelector)
	if !ok {
		return b.expr(e.VectorSelector)
	}
	n := b.vector(vs)
	n["type"] = "matrixSelector"
	n["range"] = ms(e.Range)
	n["rangeExpr"] = b.duration(e.RangeExpr)
	return n
}

// duration translates an expression that stands where a duration does; nil pointers are common there.
func (b *treeBuilder) duration(e parser.Expr) any {
	switch e := e.(type) {
	case nil:
		return nil
	case *parser.DurationExpr:
		if e == nil {
			return nil
		}
		return node{"type": "durationExpr", "op": e.Op.String(), "lhs": b.duration(e.LHS), "rhs": b.duration(e.RHS),
			"wrapped": e.Wrapped}
	case *parser.NumberLiteral:
		if e == nil {
			return nil
		}
		return node{"type": "numberLiteral", "val": number(e.Val), "duration": e.Duration}
	default:
		return b.expr(e)
	}
}

func matching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return node{"card": m.Card.String(), "labels": list(m.MatchingLabels), "on": m.On, "include": list(m.Include),
		"fillValues": node{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS}}
}

func matchers(all []*labels.Matcher) []node {
	out := make([]node, 0, len(all))
	for _, m := range all {
		out = append(out, node{"name": m.Name, "value": m.Value, "type": m.Type.String()})
	}
	return out
}

func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func startOrEnd(i parser.ItemType) any {
	if i == 0 {
		return nil
	}
	return i.String()
}
