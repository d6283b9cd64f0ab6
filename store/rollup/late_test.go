package rollup_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

const (
	minute = 60_000
	hour   = 60 * minute
)

func TestLate(t *testing.T) {
	key := func(id uint64) store.Key { return store.Key{Metric: 1, ID: id} }
	now := int64(beginMs + 30*minute) // the last hour ended half an hour ago
	closed := func(end int64) rollup.HourState {
		return rollup.HourState{EndMs: end, State: rollup.Closed, Version: 1}
	}
	mark := func(end int64, id uint64) rollup.Mark {
		m := rollup.Mark{EndMs: end, Token: 5, WrittenMs: now}
		if id != 0 {
			m.Key = key(id)
		}
		return m
	}
	for _, tc := range []struct {
		name   string
		nowMs  int64
		write  func(b *store.Batch)
		states []rollup.HourState
		want   []rollup.Mark
	}{
		{name: "newest hour", nowMs: now, write: func(b *store.Batch) { b.Samples.Append(key(1), now, store.Decimal{}) }},
		{name: "just over, and nobody folds it yet", nowMs: beginMs + minute - 1, write: func(b *store.Batch) { b.Samples.Append(key(1), beginMs, store.Decimal{}) }},
		{name: "closed", nowMs: now, states: []rollup.HourState{closed(beginMs)},
			write: func(b *store.Batch) {
				b.Samples.Append(key(2), beginMs, store.Decimal{})
				b.Samples.Append(key(1), beginMs-hour+1, store.Decimal{})
				b.Samples.Append(key(1), beginMs-hour+2, store.Decimal{})
				b.Samples.Append(key(9), beginMs+1, store.Decimal{})
			},
			want: []rollup.Mark{mark(beginMs, 1), mark(beginMs, 2)}},
		{name: "closing", nowMs: now, states: []rollup.HourState{{EndMs: beginMs, State: rollup.Closing}},
			write: func(b *store.Batch) {
				b.Histograms = append(b.Histograms, store.Histogram{Key: key(1), TimeMs: beginMs})
			},
			want: []rollup.Mark{mark(beginMs, 1)}},
		{name: "open", nowMs: now,
			write: func(b *store.Batch) { b.Samples.Append(key(1), beginMs-hour, store.Decimal{}) },
			want:  []rollup.Mark{mark(beginMs-hour, 0)}},
		{name: "many series", nowMs: now, states: []rollup.HourState{closed(beginMs)},
			write: func(b *store.Batch) {
				for i := range uint64(2000) {
					b.Samples.Append(key(i+1), beginMs, store.Decimal{})
				}
			},
			want: []rollup.Mark{mark(beginMs, 0)}},
		{name: "a start holds on", nowMs: now, states: []rollup.HourState{closed(beginMs - 2*hour), closed(beginMs - hour), closed(beginMs)},
			write: func(b *store.Batch) {
				b.Starts = append(b.Starts, store.Start{Key: key(1), TimeMs: beginMs - 2*hour, StartMs: 1})
			},
			want: []rollup.Mark{mark(beginMs-2*hour, 1), mark(beginMs-hour, 1), mark(beginMs, 1)}},
		{name: "a start until the next", nowMs: now, states: []rollup.HourState{closed(beginMs - hour), closed(beginMs)},
			write: func(b *store.Batch) {
				b.Starts = append(b.Starts, store.Start{Key: key(1), TimeMs: beginMs - hour, StartMs: 1}, store.Start{Key: key(1), TimeMs: beginMs - hour + 1})
			},
			want: []rollup.Mark{mark(beginMs-hour, 1), mark(beginMs, 1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b store.Batch
			tc.write(&b)
			var got []rollup.Mark
			if l := rollup.FindLate(&b, tc.nowMs); l != nil {
				var states []rollup.HourState
				for _, s := range tc.states {
					if span := l.Span(); s.EndMs > span.FromMs && s.EndMs <= span.ToMs {
						states = append(states, s)
					}
				}
				got = l.Marks(states, 5, tc.nowMs)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
