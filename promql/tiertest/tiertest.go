// Package tiertest is a reader of tiers for tests: it folds what a store has while it reads, and says that all of it
// is there.
package tiertest

import (
	"context"
	"math"
	"slices"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// Reader is a [rollup.Reader] over a store.
type Reader struct {
	Store store.Reader

	// Covered is what Coverage returns; where it is nothing, everything is there.
	Covered rollup.Coverage
}

// SelectRollups implements [rollup.Reader].
func (r *Reader) SelectRollups(ctx context.Context, s rollup.Selection, yield func(*rollup.Series) error) error {
	raw := s.Selection
	step := s.Tier.StepMs()
	raw.MinMs, raw.MaxMs = rollup.EndMs(s.MinMs, step)-step+1, s.MaxMs/step*step
	raw.MaxSamples = 0
	var list []*rollup.Series
	var folder rollup.Folder
	err := r.Store.Select(ctx, raw, func(d *store.SeriesData) error {
		one := &rollup.Series{Key: store.KeyOf(s.Tenant, d.Labels), Labels: d.Labels}
		folder.Fold(one, d, s.Tier, s.Columns)
		list = append(list, one)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b *rollup.Series) int { return a.Key.Compare(b.Key) })
	for _, one := range list {
		if err := yield(one); err != nil {
			return err
		}
	}
	return nil
}

// Coverage implements [rollup.Reader].
func (r *Reader) Coverage(context.Context, string) (rollup.Coverage, error) {
	if len(r.Covered[rollup.Raw]) > 0 {
		return r.Covered, nil
	}
	all := []rollup.Span{{FromMs: 0, ToMs: math.MaxInt64 / 2}}
	return rollup.Coverage{all, all, all}, nil
}
