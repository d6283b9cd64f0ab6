package plan

import (
	"fmt"

	"github.com/metricstream/metricstream/store/rollup"
)

// Resolution is what a request wants its selectors to be answered from.
type Resolution uint8

const (
	// Auto leaves it to the plan.
	Auto Resolution = iota
	// OnlyRaw, OnlyMinute and OnlyHour are one of the tiers.
	OnlyRaw
	OnlyMinute
	OnlyHour
)

// ParseResolution reads auto, raw, 1m or 1h; nothing is auto.
func ParseResolution(s string) (Resolution, error) {
	switch s {
	case "", "auto":
		return Auto, nil
	case "raw":
		return OnlyRaw, nil
	case "1m":
		return OnlyMinute, nil
	case "1h":
		return OnlyHour, nil
	}
	return Auto, fmt.Errorf("%q is no resolution, write auto, raw, 1m or 1h", s)
}

// WithoutTiers returns the error of a query that asks for a tier where there is none.
func (r Resolution) WithoutTiers() error {
	if r == Auto || r == OnlyRaw {
		return nil
	}
	return &RefusedError{Selector: "the query", Tier: r.tier(), Why: "there are no tiers here"}
}

// tier is the tier that a resolution other than Auto names.
func (r Resolution) tier() rollup.Tier {
	return [...]rollup.Tier{rollup.Raw, rollup.Raw, rollup.Minute, rollup.Hour}[r]
}

// RefusedError says that the resolution which was asked for cannot give the exact answer.
type RefusedError struct {
	Selector string
	Tier     rollup.Tier
	Why      string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s cannot be answered exactly from tier %s: %s; ask for another resolution or for auto", e.Selector, e.Tier, e.Why)
}
