package plan

import "github.com/prometheus/prometheus/promql/parser"

// RawCall returns a new call of the function on the selector without its offset and @, to be evaluated over the raw
// samples of one series at [Selector.Times]. Its positions are those of the query. In the place of absent_over_time,
// which is not about one series, it is present_over_time.
func (s *Selector) RawCall() *parser.Call {
	m, function := s.matrix, s.call.Func
	if s.Function == "absent_over_time" {
		function = parser.Functions["present_over_time"]
	}
	return &parser.Call{
		Func: function, PosRange: s.call.PosRange,
		Args: parser.Expressions{&parser.MatrixSelector{
			VectorSelector: &parser.VectorSelector{
				Name: s.node.Name, LabelMatchers: s.Matchers, PosRange: s.pos, SkipHistogramBuckets: s.skipBuckets,
			},
			Range: m.Range, EndPos: m.EndPos,
		}},
	}
}
