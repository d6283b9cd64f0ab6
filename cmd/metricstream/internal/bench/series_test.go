package bench

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSeriesHaveThePromisedShape(t *testing.T) {
	const n = 10_000
	f := newFleet(1, n)
	if len(f.series) != n {
		t.Fatalf("%d series, want %d", len(f.series), n)
	}
	name := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	seen := map[string]bool{}
	for i := range f.series {
		s := &f.series[i]
		if len(s.labels) < 8 || len(s.labels) > 14 {
			t.Errorf("%v has %d labels, want 8 to 14", s.labels, len(s.labels))
		}
		for k, l := range s.labels {
			if l.value == "" || !name.MatchString(l.name) {
				t.Errorf("%v has the label %q=%q", s.labels, l.name, l.value)
			}
			if k > 0 && s.labels[k-1].name >= l.name {
				t.Errorf("%v is not sorted", s.labels)
			}
		}
		if text := toLabels(s).String(); seen[text] {
			t.Errorf("%s is there twice", text)
		} else {
			seen[text] = true
		}
		if s.instance == "" || s.typ == 0 {
			t.Errorf("%v has instance %q and type %d", s.labels, s.instance, s.typ)
		}
	}
}

func TestSmallerFleetIsTheBeginningOfALargerOne(t *testing.T) {
	small, large := newFleet(3, 700), newFleet(3, 5000)
	for i := range small.series {
		if d := cmp.Diff(toLabels(&small.series[i]).String(), toLabels(&large.series[i]).String()); d != "" {
			t.Fatalf("series %d differs: %s", i, d)
		}
		if a, b := small.series[i].walk.next(), large.series[i].walk.next(); a != b {
			t.Fatalf("series %d begins with %v and %v", i, a, b)
		}
	}
}

func TestSameSeedSameData(t *testing.T) {
	values := func(seed uint64) (out []float64) {
		f := newFleet(seed, 800)
		for range 50 {
			for i := range f.series {
				out = append(out, f.series[i].walk.next())
			}
		}
		return out
	}
	if d := cmp.Diff(values(5), values(5)); d != "" {
		t.Error("two runs of one seed differ")
	}
	if cmp.Equal(values(5), values(6)) {
		t.Error("two seeds give the same values")
	}
}

func TestShardsDivideTheSeries(t *testing.T) {
	f := newFleet(1, 1003)
	const shards = 8
	seen := map[string]int{}
	for i := range shards {
		for _, s := range f.shard(i, shards) {
			seen[string(s.labelBytes)]++
		}
	}
	for i := range f.series {
		if got := seen[string(f.series[i].labelBytes)]; got != 1 {
			t.Fatalf("series %d is in %d shards, want 1", i, got)
		}
	}
	if len(seen) != len(f.series) {
		t.Errorf("the shards have %d series, want %d", len(seen), len(f.series))
	}
}

func TestValuesMoveAsTheirKindSays(t *testing.T) {
	const rounds = 3000
	f := newFleet(1, 490) // one target of each job
	resets := 0
	kinds := map[kind]int{}
	for i := range f.series {
		s := &f.series[i]
		kinds[s.walk.move.kind]++
		first := s.walk.next()
		last, changes := first, 0
		for range rounds {
			v := s.walk.next()
			if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%s has the value %v", s.metric, v)
			}
			if v != last {
				changes++
			}
			if v < last && s.typ != metadataTypes[gaugeType] {
				resets++
				if v != 0 {
					t.Errorf("counter %s fell from %v to %v, want a reset to 0", s.metric, last, v)
				}
			}
			last = v
		}
		switch k := s.walk.move.kind; {
		case k == kindConst && changes > 0:
			t.Errorf("constant %s changed %d times", s.metric, changes)
		case (k == kindSparse || k == kindSlow) && (changes == 0 || changes > rounds/8):
			t.Errorf("%s changed %d times in %d scrapes, want few", s.metric, changes, rounds)
		case k == kindCounter && last == first:
			t.Errorf("counter %s did not move", s.metric)
		}
	}
	for k := kindConst; k <= kindSlow; k++ {
		if kinds[k] == 0 {
			t.Errorf("no series is of kind %d", k)
		}
	}
	if limit := rounds * len(f.series) / 20_000; resets > limit {
		t.Errorf("%d counter resets in %d samples, want at most %d", resets, rounds*len(f.series), limit)
	}
}

func TestCountersReset(t *testing.T) {
	m := count(10)
	w := walk{rng: 1, mant: 1, move: &m}
	resets := 0
	for last := w.next(); resets == 0; {
		v := w.next()
		if v < last {
			resets++
		}
		last = v
	}
}

func TestValuesHaveFewDecimals(t *testing.T) {
	most := map[string]int{"node_load1": 2, "node_cpu_seconds_total": 2, "node_disk_io_time_seconds_total": 3, "container_cpu_usage_seconds_total": 6, "node_memory_MemFree_bytes": 0}
	f := newFleet(1, 490)
	for i := range f.series {
		s := &f.series[i]
		want, ok := most[s.metric]
		if !ok {
			continue
		}
		for range 200 {
			text := strconv.FormatFloat(s.walk.next(), 'f', -1, 64)
			if _, decimals, _ := strings.Cut(text, "."); len(decimals) > want {
				t.Fatalf("%s has the value %s, want at most %d decimals", s.metric, text, want)
			}
		}
	}
}

func TestHistogramBucketsAreCumulative(t *testing.T) {
	f := newFleet(1, 490)
	const rounds = 2000
	buckets := map[string]map[string]*series{} // by handler, by le
	counts := map[string]*series{}
	for i := range f.series {
		s := &f.series[i]
		handler, le := "", ""
		for _, l := range s.labels {
			switch l.name {
			case "handler":
				handler = l.value
			case "le":
				le = l.value
			}
		}
		switch s.metric {
		case "http_request_duration_seconds_bucket":
			if buckets[handler] == nil {
				buckets[handler] = map[string]*series{}
			}
			buckets[handler][le] = s
		case "http_request_duration_seconds_count":
			counts[handler] = s
		}
	}
	if len(buckets) != 3 || len(counts) != 3 {
		t.Fatalf("%d histograms, %d counts, want 3 of each", len(buckets), len(counts))
	}
	bounds, _ := bucketBounds()
	for handler, b := range buckets {
		first := 0.0
		for range rounds {
			last := 0.0
			for i, le := range bounds {
				v := b[le].walk.next()
				if i == 0 {
					first = v
				}
				if v < last {
					t.Fatalf("%s: bucket %s has %v, the one before it %v", handler, le, v, last)
				}
				last = v
			}
			if n := counts[handler].walk.next(); n != last {
				t.Fatalf("%s: count is %v, bucket +Inf %v", handler, n, last)
			}
			if first > last/2 {
				t.Fatalf("%s: the smallest bucket has %v of %v observations", handler, first, last)
			}
		}
	}
}
