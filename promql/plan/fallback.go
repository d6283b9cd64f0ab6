package plan

import "github.com/prometheus/prometheus/promql/parser"

// RawCall returns a new call of the function on the selector without its offset and @, to be evaluated over raw
// samples at [Selector.Times]. Its positions are those of the query.
func (s *Selector) RawCall() *parser.Call {
	m := s.matrix
	return &parser.Call{
		Func: s.call.Func, PosRange: s.call.PosRange,
		Args: parser.Expressions{&parser.MatrixSelector{
			VectorSelector: &parser.VectorSelector{
				Name: s.node.Name, LabelMatchers: s.Matchers, PosRange: s.pos, SkipHistogramBuckets: s.skipBuckets,
			},
			Range: m.Range, EndPos: m.EndPos,
		}},
	}
}
