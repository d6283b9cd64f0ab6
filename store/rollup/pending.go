package rollup

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/metricstream/metricstream/store"
)

const (
	// maxMarks is how many marks are looked at in one cycle.
	maxMarks = 100_000

	// quietMs is how long an hour has to be left alone before it is folded again, and impatientMs after which time it
	// is folded although it is not: who writes months series by series comes back to every hour.
	quietMs     = 10_000
	impatientMs = 10 * minuteMs

	// maxGapMs is the longest stretch of days without samples whose hours are closed like others.
	maxGapMs = 31 * dayMs
	dayMs    = 24 * hourMs
)

// job is an hour to fold and the marks that the fold makes good.
type job struct {
	endMs int64
	marks []Mark
	whole bool // all series, whatever the marks say
}

// pending returns the hours to fold, in order of time.
func (d *Downsampler) pending(ctx context.Context) ([]job, error) {
	now := d.Now()
	marks, err := d.Tables.Marks(ctx, maxMarks)
	if err != nil {
		return nil, err
	}
	d.metrics.marks.Set(float64(len(marks)))
	parts, err := d.partitions(ctx)
	if err != nil {
		return nil, err
	}
	until := min(watermark(parts), floorTo(now-GraceMs, hourMs))
	days, err := d.Tables.Days(ctx)
	if err != nil {
		return nil, err
	}
	marked := byHour(marks)
	span := spanOf(days, marked, until)
	states, err := d.Tables.Hours(ctx, span)
	if err != nil {
		return nil, err
	}
	closed := map[int64]HourState{}
	for _, s := range states {
		if s.State == Closed {
			closed[s.EndMs] = s
		}
	}
	expired, err := d.Tables.Expired(ctx)
	if err != nil {
		return nil, err
	}
	d.metrics.newest(states, now)
	var todo []job
	for _, end := range hoursOf(days, marked, until) {
		s, ok := closed[end]
		switch m := marked[end]; {
		case !isQuiet(m, now):
		case !ok || len(m) > 0 || s.Tiers&d.Tiers != d.Tiers && len(expiredOf(expired, end)) == 0:
			todo = append(todo, job{endMs: end, marks: m})
		}
	}
	return todo, nil
}

// watermark returns the end of the last hour of which every partition of the log has been written, as far as can be told:
// partitions that are written to their end wait for nobody.
func watermark(parts []Partition) int64 {
	until := int64(math.MaxInt64)
	for _, p := range parts {
		if p.Next < p.End {
			until = min(until, floorTo(p.MaxMs-GraceMs, hourMs))
		}
	}
	return until
}

func byHour(marks []Mark) map[int64][]Mark {
	out := map[int64][]Mark{}
	for _, m := range marks {
		out[m.EndMs] = append(out[m.EndMs], m)
	}
	return out
}

// isQuiet reports whether nobody writes into an hour any more, or has done so for too long.
func isQuiet(marks []Mark, nowMs int64) bool {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, m := range marks {
		first, last = min(first, m.WrittenMs), max(last, m.WrittenMs)
	}
	return len(marks) == 0 || nowMs-last >= quietMs || nowMs-first >= impatientMs
}

// hoursOf returns the ends of the hours of the days and of the marks, until the watermark. Days without samples that are
// followed by some are among them.
func hoursOf(days []int64, marked map[int64][]Mark, until int64) []int64 {
	var out []int64
	for i, day := range days {
		last := day + dayMs
		if i+1 < len(days) && days[i+1]-last <= maxGapMs {
			last = days[i+1] - hourMs
		}
		for end := day; end <= min(last, until); end += hourMs {
			out = append(out, end)
		}
	}
	for end := range marked {
		if end <= until {
			out = append(out, end)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// daysOf returns the beginnings of the days whose samples an hour has: the one at its end may be of the next day.
func daysOf(endMs int64) [2]int64 {
	return [2]int64{floorTo(endMs-1, dayMs), floorTo(endMs, dayMs)}
}

// hasRaw reports whether an hour is of one of the days.
func hasRaw(days []int64, endMs int64) bool {
	of := daysOf(endMs)
	return slices.Contains(days, of[0]) || slices.Contains(days, of[1])
}

// expiredOf returns the retention classes of which an hour has lost samples.
func expiredOf(expired map[int64][]uint8, endMs int64) []uint8 {
	of := daysOf(endMs)
	if of[0] == of[1] {
		return expired[of[0]]
	}
	return append(slices.Clone(expired[of[0]]), expired[of[1]]...)
}

// spanOf returns where the ends of all hours that may be pending lie.
func spanOf(days []int64, marked map[int64][]Mark, until int64) Span {
	s := Span{FromMs: until - 1, ToMs: until}
	if len(days) > 0 {
		s.FromMs = min(s.FromMs, days[0]-1)
	}
	for end := range marked {
		s.FromMs = min(s.FromMs, end-1)
	}
	return s
}

// keysOf returns the series that the marks are about, nil for all.
func keysOf(marks []Mark) []store.Key {
	var keys []store.Key
	for _, m := range marks {
		if m.Key == (store.Key{}) || m.Key == RemovedKey {
			return nil
		}
		keys = append(keys, m.Key)
	}
	slices.SortFunc(keys, store.Key.Compare)
	return slices.Compact(keys)
}

// version returns the version of a fold: greater than that of every fold of the hour that may have seen less, and as large
// as the sum of the offsets that were written when it began.
func version(before HourState, parts []Partition) (uint64, error) {
	sum := uint64(0)
	for _, p := range parts {
		if p.Next < 0 {
			return 0, fmt.Errorf("cannot tell what is written of the log: a partition is at offset %d", p.Next)
		}
		sum += uint64(p.Next)
	}
	return max(before.Version+1, sum), nil
}
