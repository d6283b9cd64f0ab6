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

// markDay marks all hours that have samples of a day before change changes them, so that no row of them is believed, and
// after it, so that they are folded again with what changed.
func (s *Store) markDay(ctx context.Context, day Day, change func() error) error {
	mark := func() error {
		token, now := rand.Uint64(), time.Now().UnixMilli()
		var marks []rollup.Mark
		begin := int64(day) * dayMs
		for end := begin; end <= begin+dayMs; end += rollup.Hour.StepMs() {
			marks = append(marks, rollup.Mark{EndMs: end, Key: rollup.RemovedKey, Token: token, WrittenMs: now})
		}
		if err := s.WriteMarks(ctx, marks); err != nil {
			return fmt.Errorf("cannot mark the hours of %s: %w", day, err)
		}
		// What begins to hold on this day may hold for ever.
		return s.WriteChanges(ctx, changesFrom(begin))
	}
	if err := mark(); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return mark()
}
