package adapter

import (
	"strings"

	"github.com/metricstream/metricstream/promql/kernel"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
)

// annotate says of a series what the engine would have said.
func (t *tierRead) annotate(ls labels.Labels, values []float64, w kernel.Warnings) {
	name := ls.Get(labels.MetricName)
	if w&kernel.NotCounter != 0 {
		t.warnings.Add(annotations.NewNativeHistogramNotCounterWarning(name, t.sel.Pos))
	}
	if w&kernel.NotGauge != 0 {
		t.warnings.Add(annotations.NewNativeHistogramNotGaugeWarning(name, t.sel.Pos))
	}
	if w&kernel.StartOverlap != 0 {
		t.warnings.Add(annotations.NewStartTimeOverlapWarning(name, t.sel.Pos))
	}
	if t.sel.Function != "rate" && t.sel.Function != "increase" || name == "" || !anyPoint(values, nil) {
		return
	}
	for _, suffix := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return
		}
	}
	t.warnings.Add(annotations.NewPossibleNonCounterInfo(name, t.sel.Pos))
}
