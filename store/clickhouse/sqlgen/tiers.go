package sqlgen

import (
	"math"
	"strings"

	"github.com/metricstream/metricstream/store/rollup"
)

// Tier returns the columns of a tier's table in the order of keys and buckets, of the buckets whose ends lie in [MinMs,
// MaxMs] and in one of the windows; windows of no step are everything. Rows of one series and bucket may be several.
// Without keys it returns those of all series.
func (p Points) Tier(table string, columns []string, windows rollup.Windows) Statement {
	var b builder
	if p.Keys != nil {
		p.where(&b)
	}
	const minuteMs = 60_000
	b.where("bucket >= " + b.int64(ceilDiv(p.MinMs, minuteMs)))
	b.where("bucket <= " + b.int64(-ceilDiv(-p.MaxMs, minuteMs)))
	if w := windows; w.StepMs > 0 {
		b.where("positiveModulo(" + b.int64(w.FirstMs/minuteMs) + " - bucket, " + b.int64(w.StepMs/minuteMs) + ") < " + b.int64(ceilDiv(w.RangeMs, minuteMs)))
	}
	return b.statement("SELECT " + strings.Join(columns, ", ") + " FROM " + table + " $WHERE ORDER BY metric, id, bucket")
}

// ceilDiv divides and rounds up.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// Raw returns columns of a table of samples in the order of their keys and times. Without keys it returns all series.
func (p Points) Raw(table string, columns []string) Statement {
	var b builder
	if p.Keys != nil {
		p.where(&b)
	}
	b.whereTime(p.MinMs, p.MaxMs)
	return b.statement("SELECT " + strings.Join(columns, ", ") + " FROM " + table + " $WHERE ORDER BY metric, id, ts")
}

// RawStarts returns columns of the changes of the start timestamp until MaxMs, as Starts does; without keys those of all
// series.
func (p Points) RawStarts(columns []string) Statement {
	p.MinMs = math.MinInt64
	st := p.Raw("starts", columns)
	st.Text += ", start"
	return st
}
