package clickhouse

import (
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// TestStretches: the pieces cover the time without a gap, meet at borders of partitions, and are as many as they may be.
func TestStretches(t *testing.T) {
	for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
		width := partitionMs(tier)
		for _, c := range []struct {
			minMs, maxMs int64
			n, want      int
		}{
			{1, width, 5, 1}, {1, width + 1, 5, 2}, {width, width + 1, 5, 2}, {width + 1, 2 * width, 5, 1},
			{-width + 1, 4 * width, 5, 5}, {1, 30 * width, 5, 5}, {1, 7 * width, 5, 5}, {1, 30 * width, 1, 1},
		} {
			sel := rollup.Selection{Tier: tier, Selection: store.Selection{MinMs: c.minMs, MaxMs: c.maxMs}}
			pieces := stretches(sel, c.n)
			if len(pieces) != c.want {
				t.Errorf("%s %+v: %d pieces", tier, c, len(pieces))
			}
			from := c.minMs
			for i, p := range pieces {
				if p.MinMs != from || p.MaxMs < p.MinMs {
					t.Errorf("%s %+v: piece %d is %d to %d and should begin at %d", tier, c, i, p.MinMs, p.MaxMs, from)
				}
				if i < len(pieces)-1 && p.MaxMs%width != 0 {
					t.Errorf("%s %+v: piece %d ends at %d, inside a partition", tier, c, i, p.MaxMs)
				}
				from = p.MaxMs + 1
			}
			if from != c.maxMs+1 {
				t.Errorf("%s %+v: the pieces end at %d", tier, c, from-1)
			}
		}
	}
}
