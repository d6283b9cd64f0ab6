package plan

import "context"

// Explanation says of a plan, selector by selector, what was decided and read. It is made for JSON.
type Explanation struct {
	Selectors []SelectorExplanation `json:"selectors"`

	// Cache says what of the answer was remembered, where an engine remembers.
	Cache *Cached `json:"cache,omitempty"`
}

// SelectorExplanation is about one selector.
type SelectorExplanation struct {
	Selector string `json:"selector"`
	Function string `json:"function,omitempty"`

	// Tier is what answers: raw, 1m or 1h. Ends says that raw answers where the window cuts through buckets.
	Tier string `json:"tier"`
	Ends string `json:"ends,omitempty"`

	// Aggregation is the one that is done while rows are read.
	Aggregation string `json:"aggregation,omitempty"`

	// Why says why no coarser tier was taken, Missing what the answer cannot see.
	Why     string `json:"why,omitempty"`
	Missing string `json:"missing,omitempty"`

	// Approximate says how times are answered at which no exact route sees all that a tier has.
	Approximate string `json:"approximate,omitempty"`

	// From and To bound the time that is looked at; Covered are the parts of it in which the tier is complete. Where it
	// is not, rows are folded of raw samples.
	From    string      `json:"from"`
	To      string      `json:"to"`
	Covered [][2]string `json:"covered"`

	Series     int64 `json:"series"`
	RowsRead   int64 `json:"rowsRead"`
	RawSamples int64 `json:"rawSamplesRead"`
}

// Explain tells what was decided and, after the query ran, what was read.
func (p *Plan) Explain() Explanation {
	e := Explanation{Selectors: []SelectorExplanation{}}
	for _, s := range p.Selectors {
		one := SelectorExplanation{
			Selector: s.Text, Function: s.Function, Tier: s.Tier.String(), Why: s.Why, Missing: s.Missing,
			From: clock(s.BeginMs()), To: clock(s.EndMs()), Covered: [][2]string{},
			Series: s.Read.Series.Load(), RowsRead: s.Read.Rows.Load(), RawSamples: s.Read.RawSamples.Load(),
		}
		if s.Approximate != nil {
			one.Approximate = s.Approximate.How
		}
		if s.Ragged {
			one.Ends = "raw"
		}
		if s.Group != nil && s.replaced() {
			one.Aggregation = s.Group.Op.String()
		}
		for _, span := range s.Covered {
			one.Covered = append(one.Covered, [2]string{clock(span.FromMs), clock(span.ToMs)})
		}
		e.Selectors = append(e.Selectors, one)
	}
	return e
}

type resolutionKey struct{}

// WithResolution returns a context whose queries are answered from one resolution.
func WithResolution(ctx context.Context, r Resolution) context.Context {
	return context.WithValue(ctx, resolutionKey{}, r)
}

// ResolutionOf returns the resolution of a context, Auto without one.
func ResolutionOf(ctx context.Context) Resolution {
	r, _ := ctx.Value(resolutionKey{}).(Resolution)
	return r
}
