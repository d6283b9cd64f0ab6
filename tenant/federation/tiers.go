package federation

import (
	"context"

	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
)

// Spans reads rows of which none is missing, such as a [rollup.Stitch].
type Spans interface {
	SelectSpan(ctx context.Context, s rollup.Selection, span rollup.Span, yield func(*rollup.Series) error) error
}

// Tiers reads the rows of single tenants and of several, one tenant after the other.
type Tiers struct{ inner Spans }

// NewTiers returns a reader over the rows of single tenants.
func NewTiers(inner Spans) *Tiers { return &Tiers{inner} }

// SelectSpan implements [Spans]. Of several tenants the series come in the order of the tenants' names, and those of a
// tenant in the order of their keys. Each tenant's rows are completed by themselves: an hour that is complete for one may
// come from raw for another.
func (t *Tiers) SelectSpan(ctx context.Context, s rollup.Selection, span rollup.Span, yield func(*rollup.Series) error) error {
	if !tenant.Several(s.Tenant) {
		return t.inner.SelectSpan(ctx, s, span, yield)
	}
	for _, p := range divide(s.Selection) {
		one := s
		one.Selection = p.selection
		err := t.inner.SelectSpan(ctx, one, span, func(o *rollup.Series) error {
			marked := *o
			if marked.Labels = mark(o.Labels, p.tenant()); !p.chooses(marked.Labels) {
				return nil
			}
			return yield(&marked)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
