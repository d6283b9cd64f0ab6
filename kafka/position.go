package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Position is a place in the log as people write it.
type Position struct {
	// Of these only one is set; none is the oldest record.
	newest  bool
	at      time.Time
	offsets map[int32]int64
}

// ParsePosition reads "oldest", "newest", a time in RFC 3339, a duration before now, such as 6h, or the offsets of
// partitions, such as 0:1200,3:77.
func ParsePosition(s string, now time.Time) (Position, error) {
	switch {
	case s == "oldest":
		return Position{}, nil
	case s == "newest":
		return Position{newest: true}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return Position{at: now.Add(-d)}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return Position{at: at}, nil
	}
	p := Position{offsets: map[int32]int64{}}
	for one := range strings.SplitSeq(s, ",") {
		partition, offset, _ := strings.Cut(one, ":")
		n, err := strconv.ParseInt(partition, 10, 32)
		at, offsetErr := strconv.ParseInt(offset, 10, 64)
		if err != nil || offsetErr != nil || n < 0 || at < 0 {
			return p, fmt.Errorf("cannot read the position %q: want oldest, newest, a time such as 2026-01-02T15:04:05Z, a duration ago such as 6h, or offsets such as 0:1200,3:77", s)
		}
		p.offsets[int32(n)] = at
	}
	return p, nil
}

// Span is a part of the log: of each partition that both name, the offsets from one to before the other.
type Span struct{ From, To map[int32]int64 }

// Span looks up where the positions are now. Partitions that offsets do not name are left out.
func (a *Archive) Span(from, to Position) (Span, error) {
	s := Span{From: map[int32]int64{}, To: map[int32]int64{}}
	for p := range int32(a.partitions) {
		begin, named, err := a.resolve(p, from)
		if err != nil {
			return s, err
		}
		end, endNamed, err := a.resolve(p, to)
		if err != nil {
			return s, err
		}
		if named && endNamed && begin < end {
			s.From[p], s.To[p] = begin, end
		}
	}
	return s, nil
}

// resolve returns the offset of a position in a partition, and whether it names the partition.
func (a *Archive) resolve(partition int32, at Position) (int64, bool, error) {
	oldest, next, err := a.source.bounds(a.cfg.Topic, partition)
	switch {
	case err != nil:
		return 0, false, err
	case at.newest:
		return next, true, nil
	case at.offsets != nil:
		offset, ok := at.offsets[partition]
		return min(max(offset, oldest), next), ok, nil
	case at.at.IsZero():
		return oldest, true, nil
	}
	offset, err := a.source.offsetAt(a.cfg.Topic, partition, at.at)
	return offset, true, err
}

// Partitions returns the partitions in ascending order.
func (s Span) Partitions() []int32 { return slices.Sorted(maps.Keys(s.From)) }

// Records returns how many offsets the span has.
func (s Span) Records() int64 {
	n := int64(0)
	for p, from := range s.From {
		n += max(0, s.To[p]-from)
	}
	return n
}

// Flags returns the span as the arguments of a command that reads it.
func (s Span) Flags() string { return "--from=" + s.list(s.From) + " --to=" + s.list(s.To) }

func (s Span) list(offsets map[int32]int64) string {
	var parts []string
	for _, p := range s.Partitions() {
		parts = append(parts, fmt.Sprintf("%d:%d", p, offsets[p]))
	}
	return strings.Join(parts, ",")
}
