package rollup

import (
	"cmp"
	"maps"
	"slices"

	"github.com/metricstream/metricstream/store"
)

const (
	// lateAfterMs is how long after its end an hour's samples are late. The rest of [GraceMs], until the fold may begin, is
	// for clocks that disagree.
	lateAfterMs = GraceMs / 2

	// maxLateKeys is how many late series of one hour are marked one by one. With more it is the hour that is marked.
	maxLateKeys = 1000
)

// Late is what of a batch was written into hours that may have been folded.
type Late struct {
	hours  map[int64]*lateHour // by the end of the hour
	starts []lateStart
	lastMs int64 // the end of the last hour whose samples are late
}

type lateHour struct {
	keys  map[store.Key]struct{}
	whole bool // too many keys
}

// lateStart is a start timestamp that holds until another one does: it may change the samples of later hours too.
type lateStart struct {
	key          store.Key
	fromMs, toMs int64
}

// FindLate returns what is late of a batch whose samples are written, nil where nothing is, which is nearly always.
// nowMs is the wall clock after the samples were written: a fold that has not seen them began before.
//
// The caller looks up the states of the hours in Span, and writes what Marks says before the batch's progress.
func FindLate(b *store.Batch, nowMs int64) *Late {
	l := Late{lastMs: (nowMs - lateAfterMs) / hourMs * hourMs}
	for i, t := range b.Samples.TimesMs {
		if t <= l.lastMs {
			l.add(store.Key{Metric: b.Samples.Metrics[i], ID: b.Samples.IDs[i]}, t)
		}
	}
	for i := range b.Histograms {
		if h := &b.Histograms[i]; h.TimeMs <= l.lastMs {
			l.add(h.Key, h.TimeMs)
		}
	}
	l.addStarts(b.Starts)
	if l.hours == nil {
		return nil
	}
	return &l
}

func (l *Late) add(k store.Key, timeMs int64) {
	if l.hours == nil {
		l.hours = map[int64]*lateHour{}
	}
	end := EndMs(timeMs, hourMs)
	h := l.hours[end]
	if h == nil {
		h = &lateHour{keys: map[store.Key]struct{}{}}
		l.hours[end] = h
	}
	if h.whole {
		return
	}
	h.keys[k] = struct{}{}
	if len(h.keys) > maxLateKeys {
		h.whole, h.keys = true, nil
	}
}

// addStarts finds until when each late start holds, as far as the batch knows.
func (l *Late) addStarts(starts []store.Start) {
	late := slices.DeleteFunc(slices.Clone(starts), func(s store.Start) bool { return s.TimeMs > l.lastMs })
	slices.SortFunc(late, func(a, b store.Start) int { return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.TimeMs, b.TimeMs)) })
	for i, s := range late {
		l.add(s.Key, s.TimeMs)
		until := l.lastMs
		if i+1 < len(late) && late[i+1].Key == s.Key {
			until = EndMs(late[i+1].TimeMs, hourMs)
		}
		if from := EndMs(s.TimeMs, hourMs); from < until {
			l.starts = append(l.starts, lateStart{key: s.Key, fromMs: from, toMs: until})
		}
	}
}

// Span is where the hours end whose states Marks needs.
func (l *Late) Span() Span {
	ends := slices.Collect(maps.Keys(l.hours))
	s := Span{FromMs: slices.Min(ends) - 1, ToMs: slices.Max(ends)}
	for _, st := range l.starts {
		s.ToMs = max(s.ToMs, st.toMs)
	}
	return s
}

// Marks returns the marks to write. states are those of the hours in Span as they were after the samples were
// written; token is one that no other write has.
func (l *Late) Marks(states []HourState, token uint64, nowMs int64) []Mark {
	begun := map[int64]bool{}
	for _, st := range states {
		if st.State == Open {
			continue
		}
		begun[st.EndMs] = true
		for _, s := range l.starts {
			if st.EndMs > s.fromMs && st.EndMs <= s.toMs {
				l.add(s.key, st.EndMs)
			}
		}
	}
	var out []Mark
	for _, end := range slices.Sorted(maps.Keys(l.hours)) {
		h := l.hours[end]
		mark := Mark{EndMs: end, Token: token, WrittenMs: nowMs}
		if h.whole || !begun[end] {
			out = append(out, mark)
			continue
		}
		for _, k := range slices.SortedFunc(maps.Keys(h.keys), store.Key.Compare) {
			mark.Key = k
			out = append(out, mark)
		}
	}
	return out
}
