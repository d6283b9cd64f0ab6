package clickhouse

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/metricstream/metricstream/store"
)

const dayMs = 24 * 60 * 60 * 1000

// dayOf returns the day since 1970 that a time is in, below zero before 1970.
func dayOf(ms int64) int64 {
	d := ms / dayMs
	if ms%dayMs < 0 {
		d--
	}
	return d
}

// dayBounds returns the first and the last millisecond of the day that a time is in, as far as an int64 reaches.
func dayBounds(ms int64) (first, last int64) {
	since := ms % dayMs
	if since < 0 {
		since += dayMs
	}
	first, last = ms-since, ms+(dayMs-1-since)
	if first > ms {
		first = math.MinInt64
	}
	if last < ms {
		last = math.MaxInt64
	}
	return first, last
}

// sorter puts samples into the order of the table, day by day: (metric, id, ts, exp, mant) within a day. What
// a log delivers is many short runs of one series; a run is moved as one. Runs are ordered by a 64-bit rank,
// day and metric as dense numbers in front and as many bits of the id as fit behind, with a radix sort of its
// upper half and a look at what is left equal. The cost is some 60 ns a sample when no two neighbours belong
// together.
type sorter struct {
	out  store.Samples
	days []dayRows

	runs, spare []run
	dayNumber   map[int64]uint32
	metricNo    map[uint32]uint32
	dayList     []int64
	metricList  []uint32
	rankOf      []uint32
	rows        []point
}

// dayRows are the rows of out that belong to one day.
type dayRows struct {
	day        int64
	begin, end int
}

// run is a run of neighbouring input rows of one series and day. Its rank holds (day number, metric number)
// until the numbers are final.
type run struct {
	rank       uint64
	first, len uint32
}

type point struct {
	ts   int64
	exp  int8
	mant int64
}

type sorterPool struct{ pool sync.Pool }

func (p *sorterPool) get() *sorter {
	if s, ok := p.pool.Get().(*sorter); ok {
		return s
	}
	return &sorter{dayNumber: map[int64]uint32{}, metricNo: map[uint32]uint32{}}
}

func (p *sorterPool) put(s *sorter) { p.pool.Put(s) }

// sort leaves the samples of in, sorted, in s.out and the days that they belong to in s.days.
func (s *sorter) sort(in *store.Samples) {
	s.findRuns(in)
	s.rankRuns(in)
	s.orderRuns(in)
	s.gather(in)
	s.orderPoints()
}

// findRuns cuts the input into runs and numbers the days and metrics as they come.
func (s *sorter) findRuns(in *store.Samples) {
	clear(s.dayNumber)
	clear(s.metricNo)
	s.runs, s.dayList, s.metricList = s.runs[:0], s.dayList[:0], s.metricList[:0]
	firstMs, lastMs := int64(1), int64(0) // of the last row's day; none at first
	var day, metric uint32
	var lastMetric uint32
	var lastID uint64
	for i, id := range in.IDs {
		ts, m := in.TimesMs[i], in.Metrics[i]
		sameDay := ts >= firstMs && ts <= lastMs
		if sameDay && id == lastID && m == lastMetric {
			s.runs[len(s.runs)-1].len++
			continue
		}
		if !sameDay {
			day = number(s.dayNumber, &s.dayList, dayOf(ts))
			firstMs, lastMs = dayBounds(ts)
		}
		if m != lastMetric || len(s.metricList) == 0 {
			metric = number(s.metricNo, &s.metricList, m)
		}
		lastMetric, lastID = m, id
		s.runs = append(s.runs, run{uint64(day)<<32 | uint64(metric), uint32(i), 1})
	}
}

// number returns the number of v, a new one when v is new.
func number[T comparable](numbers map[T]uint32, list *[]T, v T) uint32 {
	n, ok := numbers[v]
	if !ok {
		n = uint32(len(*list))
		numbers[v] = n
		*list = append(*list, v)
	}
	return n
}

// rankRuns replaces the numbers in the runs by their ranks.
func (s *sorter) rankRuns(in *store.Samples) {
	slices.Sort(s.dayList)
	slices.Sort(s.metricList)
	s.rankOf = append(s.rankOf[:0], make([]uint32, len(s.dayList)+len(s.metricList))...)
	dayRank, metricRank := s.rankOf[:len(s.dayList)], s.rankOf[len(s.dayList):]
	for rank, d := range s.dayList {
		dayRank[s.dayNumber[d]] = uint32(rank)
	}
	for rank, m := range s.metricList {
		metricRank[s.metricNo[m]] = uint32(rank)
	}
	metricBits := bits.Len(uint(max(len(s.metricList)-1, 0)))
	used := bits.Len(uint(max(len(s.dayList)-1, 0))) + metricBits
	for i := range s.runs {
		r := &s.runs[i]
		front := uint64(dayRank[r.rank>>32])<<metricBits | uint64(metricRank[uint32(r.rank)])
		r.rank = front<<(64-used) | in.IDs[r.first]>>used
	}
}

const (
	digitBits = 11
	digits    = 3
)

// orderRuns sorts the runs by (day, metric, id) and leaves runs of equal keys in the order they came in.
func (s *sorter) orderRuns(in *store.Samples) {
	s.spare = slices.Grow(s.spare[:0], len(s.runs))[:len(s.runs)]
	var counts [digits][1 << digitBits]uint32
	const lowest = 64 - digits*digitBits
	for i := range s.runs {
		for d := range digits {
			counts[d][s.runs[i].rank>>(lowest+d*digitBits)&(1<<digitBits-1)]++
		}
	}
	from, to := s.runs, s.spare
	for d := range digits {
		next := uint32(0)
		for i, n := range counts[d] {
			counts[d][i] = next
			next += n
		}
		shift := lowest + d*digitBits
		for i := range from {
			c := &counts[d][from[i].rank>>shift&(1<<digitBits-1)]
			to[*c] = from[i]
			*c++
		}
		from, to = to, from
	}
	s.runs, s.spare = from, to
	// What the digits did not tell apart is nearly always runs of one series, which are in order.
	compare := compareRuns(in)
	for begin := 0; begin < len(from); {
		end, sorted := begin+1, true
		for ; end < len(from) && from[end].rank>>lowest == from[begin].rank>>lowest; end++ {
			if from[end].rank <= from[end-1].rank && compare(from[end-1], from[end]) > 0 {
				sorted = false
			}
		}
		if !sorted {
			slices.SortStableFunc(from[begin:end], compare)
		}
		begin = end
	}
}

func compareRuns(in *store.Samples) func(a, b run) int {
	return func(a, b run) int {
		if c := cmp.Compare(a.rank, b.rank); c != 0 {
			return c
		}
		return cmp.Compare(in.IDs[a.first], in.IDs[b.first])
	}
}

// gather copies the runs to out.
func (s *sorter) gather(in *store.Samples) {
	s.out.Metrics = gatherColumn(s.out.Metrics, in.Metrics, s.runs)
	s.out.IDs = gatherColumn(s.out.IDs, in.IDs, s.runs)
	s.out.TimesMs = gatherColumn(s.out.TimesMs, in.TimesMs, s.runs)
	s.out.Exps = gatherColumn(s.out.Exps, in.Exps, s.runs)
	s.out.Mants = gatherColumn(s.out.Mants, in.Mants, s.runs)
}

func gatherColumn[T any](dst, src []T, runs []run) []T {
	dst = slices.Grow(dst[:0], len(src))[:len(src)]
	n := 0
	for _, r := range runs {
		if r.len == 1 {
			dst[n] = src[r.first]
			n++
			continue
		}
		n += copy(dst[n:], src[r.first:r.first+r.len])
	}
	return dst
}

// orderPoints finds the days in out, and sorts by time where a series' runs did not come in that order.
func (s *sorter) orderPoints() {
	s.days = s.days[:0]
	var lastMs int64 // of the day
	out := &s.out
	for begin, n := 0, len(out.IDs); begin < n; {
		id, metric := out.IDs[begin], out.Metrics[begin]
		if len(s.days) == 0 || out.TimesMs[begin] > lastMs {
			_, lastMs = dayBounds(out.TimesMs[begin])
			s.days = append(s.days, dayRows{day: dayOf(out.TimesMs[begin]), begin: begin})
		}
		end, sorted := begin+1, true
		for ; end < n && out.IDs[end] == id && out.Metrics[end] == metric && out.TimesMs[end] <= lastMs; end++ {
			if out.TimesMs[end] <= out.TimesMs[end-1] {
				sorted = false
			}
		}
		if !sorted {
			s.sortPoints(begin, end)
		}
		s.days[len(s.days)-1].end = end
		begin = end
	}
}

// sortPoints sorts the rows of one series and day.
func (s *sorter) sortPoints(begin, end int) {
	ts, exps, mants := s.out.TimesMs[begin:end], s.out.Exps[begin:end], s.out.Mants[begin:end]
	s.rows = s.rows[:0]
	for i := range ts {
		s.rows = append(s.rows, point{ts[i], exps[i], mants[i]})
	}
	slices.SortFunc(s.rows, comparePoints)
	for i, p := range s.rows {
		ts[i], exps[i], mants[i] = p.ts, p.exp, p.mant
	}
}

func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.exp, b.exp), cmp.Compare(a.mant, b.mant))
}
