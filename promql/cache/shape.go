package cache

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// span is a stretch of time in milliseconds, both ends included.
type span struct{ from, to int64 }

func (s span) union(o span) span { return span{min(s.from, o.from), max(s.to, o.to)} }

// shape is what has to be known of an expression to remember its values.
type shape struct {
	// reach is where the data of a value lies, beside the time of its evaluation: the value at t is computed of the samples
	// between t+reach.from and t+reach.to, and of those in pinned.
	reach span

	// pinned are the times of selectors with an @ modifier.
	pinned []span

	// metrics are the names of the metrics that are read. everyMetric says that others may be read too.
	metrics     []string
	everyMetric bool

	selectors int
}

// data returns the times of all samples that the values between two times are computed of.
func (s *shape) data(times span) span {
	out := span{times.from + s.reach.from, times.to + s.reach.to}
	for _, p := range s.pinned {
		out = out.union(p)
	}
	return out
}

// shapeOf returns the shape of a parsed expression, or why its values cannot be remembered: the value at a time has to depend
// on nothing but the time, see README.md.
func shapeOf(expr parser.Expr, lookback time.Duration) (*shape, string) {
	w := &shaper{lookbackMs: lookback.Milliseconds()}
	w.walk(expr, place{})
	switch {
	case w.why != "":
	case w.shape.selectors == 0:
		w.why = "it reads nothing"
	default:
		w.why = judge(expr)
	}
	if w.why != "" {
		return nil, w.why
	}
	slices.Sort(w.shape.metrics)
	w.shape.metrics = slices.Compact(w.shape.metrics)
	return &w.shape, ""
}

type shaper struct {
	shape      shape
	lookbackMs int64
	why        string
}

// place is when a node is evaluated: between times.from and times.to beside the time of the query or, pinned, at these times.
type place struct {
	times    span
	pinned   bool
	subquery bool
}

func (w *shaper) refuse(why string) {
	if w.why == "" {
		w.why = why
	}
}

func (w *shaper) walk(expr parser.Expr, p place) {
	switch n := expr.(type) {
	case nil, *parser.NumberLiteral, *parser.StringLiteral:
	case *parser.ParenExpr:
		w.walk(n.Expr, p)
	case *parser.UnaryExpr:
		w.walk(n.Expr, p)
	case *parser.BinaryExpr:
		w.walk(n.LHS, p)
		w.walk(n.RHS, p)
	case *parser.AggregateExpr:
		w.walk(n.Param, p)
		w.walk(n.Expr, p)
	case *parser.Call:
		if !known[n.Func.Name] {
			w.refuse("the function " + n.Func.Name)
		}
		for _, arg := range n.Args {
			w.walk(arg, p)
		}
	case *parser.MatrixSelector:
		if n.RangeExpr != nil {
			w.refuse("a duration that is computed")
		}
		w.selector(n.VectorSelector.(*parser.VectorSelector), n.Range.Milliseconds(), p)
	case *parser.VectorSelector:
		w.selector(n, w.lookbackMs, p)
	case *parser.SubqueryExpr:
		w.subquery(n, p)
	default:
		w.refuse("a kind of expression that is not known here")
	}
}

func (w *shaper) subquery(n *parser.SubqueryExpr, p place) {
	if n.RangeExpr != nil || n.StepExpr != nil || n.OriginalOffsetExpr != nil {
		w.refuse("a duration that is computed")
	}
	p = w.modifiers(p, n.Timestamp, n.StartOrEnd, n.OriginalOffset)
	p.times.from -= n.Range.Milliseconds()
	p.subquery = true
	w.walk(n.Expr, p)
}

// modifiers applies @ and offset.
func (w *shaper) modifiers(p place, at *int64, startOrEnd parser.ItemType, offset time.Duration) place {
	if startOrEnd != 0 {
		w.refuse("@ start() or @ end()")
	}
	if at != nil {
		if p.subquery {
			w.refuse("an @ modifier inside a subquery")
		}
		p.times, p.pinned = span{*at, *at}, true
	}
	p.times.from -= offset.Milliseconds()
	p.times.to -= offset.Milliseconds()
	return p
}

// hintMs is how far before a window a histogram is looked for that the first one in it is compared with.
const hintMs = 5 * 60 * 1000

func (w *shaper) selector(n *parser.VectorSelector, windowMs int64, p place) {
	switch {
	case n.OriginalOffsetExpr != nil:
		w.refuse("a duration that is computed")
	case n.Anchored || n.Smoothed:
		w.refuse("anchored and smoothed")
	}
	p = w.modifiers(p, n.Timestamp, n.StartOrEnd, n.OriginalOffset)
	p.times.from -= windowMs + hintMs
	if p.pinned {
		w.shape.pinned = append(w.shape.pinned, p.times)
	} else {
		w.shape.reach = w.shape.reach.union(p.times)
	}
	w.shape.selectors++
	for _, m := range n.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual && m.Value != "" {
			w.shape.metrics = append(w.shape.metrics, m.Value)
			return
		}
	}
	w.shape.everyMetric = true
}
