package plan

import "strings"

// RowsRead returns how many rows of tiers and samples of raw were read so far, for all selectors.
func (p *Plan) RowsRead() int64 {
	rows := int64(0)
	for _, s := range p.Selectors {
		rows += s.Read.Rows.Load() + s.Read.RawSamples.Load()
	}
	return rows
}

// Tiers names the tiers that answer the selectors, each once, such as raw,1h.
func (p *Plan) Tiers() string {
	var names []string
	for _, tier := range []string{"raw", "1m", "1h"} {
		for _, s := range p.Selectors {
			if s.Tier.String() == tier {
				names = append(names, tier)
				break
			}
		}
	}
	return strings.Join(names, ",")
}
