package clickhouse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

// writeLate marks the hours that may have been folded before the batch's samples, which are written, were there. A batch
// without late samples costs no statement.
func (s *Store) writeLate(ctx context.Context, b *store.Batch) error {
	now := time.Now().UnixMilli()
	late := rollup.FindLate(b, now)
	if late == nil {
		return nil
	}
	states, err := s.Hours(ctx, late.Span())
	if err != nil {
		return fmt.Errorf("cannot mark late samples: %w", err)
	}
	if err := s.WriteMarks(ctx, late.Marks(states, rand.Uint64(), now)); err != nil {
		return fmt.Errorf("cannot mark late samples: %w", err)
	}
	return nil
}
