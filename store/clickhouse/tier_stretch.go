package clickhouse

import (
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

const (
	// maxStretches is how many statements read one selection at once, at the most. A year of hours has five partitions.
	maxStretches = 5

	// stretchRows is about how many rows make a statement of their own worth while.
	stretchRows = 50_000
)

// partitionMs is the width of the partitions of a tier's table.
func partitionMs(t rollup.Tier) int64 {
	if t == rollup.Hour {
		return 91 * dayMs
	}
	return dayMs
}

// streamsFor returns into how many stretches the time of a selection should be cut.
func streamsFor(sel rollup.Selection, series int) int {
	rows := float64(sel.MaxMs-sel.MinMs) / float64(sel.Tier.StepMs()) * float64(series)
	return max(1, min(maxStretches, int(rows/stretchRows)))
}

// stretches cuts the time of a selection at borders of partitions, into at most n pieces of about as many partitions each.
func stretches(sel rollup.Selection, n int) []sqlgen.Points {
	width := partitionMs(sel.Tier)
	// A bucket belongs to the partition in which it ends: borders are on the right as those of buckets are.
	first, last := rollup.EndMs(sel.MinMs, width)/width, rollup.EndMs(sel.MaxMs, width)/width
	count := last - first + 1
	pieces := max(1, min(int64(n), count))
	var out []sqlgen.Points
	from := sel.MinMs
	for i := range pieces {
		to := sel.MaxMs
		if i < pieces-1 {
			to = (first + (i+1)*count/pieces - 1) * width
		}
		out = append(out, sqlgen.Points{MinMs: from, MaxMs: to})
		from = to + 1
	}
	return out
}
