package plan

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// rewrite puts instant selectors in the place of the calls that tiers answer, and takes out what preprocessing
// wrapped, so that the engine can preprocess the expression again. Positions stay those of the original.
func (p *Plan) rewrite(expr parser.Expr) parser.Expr {
	switch n := expr.(type) {
	case *parser.StepInvariantExpr:
		return p.rewrite(n.Expr)
	case *parser.AggregateExpr:
		n.Expr = p.rewrite(n.Expr)
		if n.Param != nil {
			n.Param = p.rewrite(n.Param)
		}
		if s := p.grouped(n.Expr); s != nil && n.Op == parser.COUNT {
			n.Op = parser.SUM // of the counts of parts
		}
	case *parser.BinaryExpr:
		n.LHS, n.RHS = p.rewrite(n.LHS), p.rewrite(n.RHS)
	case *parser.ParenExpr:
		n.Expr = p.rewrite(n.Expr)
	case *parser.UnaryExpr:
		n.Expr = p.rewrite(n.Expr)
	case *parser.SubqueryExpr:
		n.Expr = p.rewrite(n.Expr)
	case *parser.Call:
		for _, s := range p.Selectors {
			if s.call == n && s.replaced() {
				return s.replace()
			}
		}
		for i := range n.Args {
			n.Args[i] = p.rewrite(n.Args[i])
		}
	}
	return expr
}

// grouped returns the selector behind a replaced call that has an aggregation above it.
func (p *Plan) grouped(expr parser.Expr) *Selector {
	for _, s := range p.Selectors {
		if s.Group != nil && s.replaced() && containsNode(expr, s.node) {
			return s
		}
	}
	return nil
}

// containsNode looks through the few nodes that a replaced call is made of.
func containsNode(expr parser.Expr, node *parser.VectorSelector) bool {
	switch n := inner(expr).(type) {
	case *parser.UnaryExpr:
		return containsNode(n.Expr, node)
	case *parser.BinaryExpr:
		return containsNode(n.LHS, node)
	case *parser.VectorSelector:
		return n == node
	}
	return false
}

// replace returns what stands for the call. How it is wrapped decides on the metric's name, which the functions drop
// but for the first and the last sample of a range. A sign that is turned twice is the cheapest way to have the engine
// drop it. It marks histograms as gauges, which those that rate and its kin return are anyway; the sums of histograms
// are no gauges, so they are multiplied by 1.
func (s *Selector) replace() parser.Expr {
	n, call := s.node, s.call
	if s.Function == "absent_over_time" {
		m := call.Args[0].(*parser.MatrixSelector)
		m.Range, m.RangeExpr = time.Millisecond, nil // of its labels the engine makes those of the answer
		return call
	}
	n.PosRange = call.PosRange
	n.SkipHistogramBuckets = false
	switch s.Function {
	case "first_over_time", "last_over_time":
		return &parser.UnaryExpr{Op: parser.ADD, Expr: n, StartPos: call.PosRange.Start}
	case "sum_over_time", "avg_over_time":
		one := &parser.NumberLiteral{Val: 1, PosRange: call.PosRange}
		return &parser.BinaryExpr{Op: parser.MUL, LHS: n, RHS: one}
	}
	s.Negated = true
	return &parser.UnaryExpr{Op: parser.SUB, Expr: n, StartPos: call.PosRange.Start}
}
