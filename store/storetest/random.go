package storetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

var randomCases = []testCase{{"the same as the reference", sameAsReference}}

// seedVariable is the environment variable that repeats a run.
const seedVariable = "STORETEST_SEED"

// sameAsReference writes random batches to the store and to the reference and compares random reads.
func sameAsReference(f *fixture) {
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			f.Fatalf("%s: %v", seedVariable, err)
		}
	}
	for i := range uint64(4) {
		seed := seed + i
		f.t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			own := &fixture{TB: t, t: t, store: f.store, tenant: fmt.Sprintf("%s-%d", f.tenant, i)}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("repeat it with %s=%d", seedVariable, seed)
				}
			})
			r := &random{fixture: own, rng: rand.New(rand.NewPCG(seed, 0)), reference: memory.New(), tenants: []string{own.tenant, own.tenant + "-b"}}
			r.run()
		})
	}
}

// random is one run of random writes and reads.
type random struct {
	*fixture
	rng       *rand.Rand
	reference *memory.Store
	tenants   []string
	past      []*batch
}

func (r *random) run() {
	for range 12 {
		b := r.batch()
		if len(r.past) > 0 && r.rng.IntN(4) == 0 {
			b = r.past[r.rng.IntN(len(r.past))] // a replay
		}
		r.past = append(r.past, b)
		r.write(b)
		if err := r.reference.Write(context.Background(), &b.Batch); err != nil {
			r.Fatal(err)
		}
		for range 4 {
			r.compare(r.selection())
		}
		if r.Failed() {
			return
		}
	}
}

func (r *random) batch() *batch {
	b := newBatch(r.tenants[r.rng.IntN(len(r.tenants))])
	for range r.rng.IntN(60) {
		ls, at := r.labels(), r.time()
		switch r.rng.IntN(10) {
		case 0:
			b.histogram(ls, at, r.intHistogram())
		case 1:
			h := floatHistogram(float64(r.rng.IntN(3)))
			b.floatHistogram(ls, at, h)
		case 2:
			b.start(ls, at, at-r.rng.Int64N(3)*1000)
		case 3:
			b.exemplar(ls, at, float64(r.rng.IntN(3)), "id", fmt.Sprint(r.rng.IntN(3)))
		default:
			b.sample(ls, at, r.value())
		}
	}
	return b
}

func (r *random) intHistogram() *histogram.Histogram {
	h := intHistogram(uint64(r.rng.IntN(3)))
	switch r.rng.IntN(4) {
	case 0:
		h.Sum = staleNaN
	case 1:
		h = customHistogram(uint64(r.rng.IntN(3)))
	}
	return h
}

func (r *random) labels() labels.Labels {
	pairs := map[string]string{"__name__": r.pick("a", "b", "c")}
	for _, name := range []string{"x", "y"} {
		if v := r.pick("", "1", "2", "it's"); v != "" {
			pairs[name] = v
		}
	}
	return labels.FromMap(pairs)
}

// time is one of a few in three days, so that equal ones are frequent.
func (r *random) time() int64 {
	return baseMs + r.rng.Int64N(3)*dayMs + r.rng.Int64N(8)*hourMs + r.rng.Int64N(3)
}

func (r *random) value() float64 {
	switch r.rng.IntN(8) {
	case 0:
		return []float64{staleNaN, math.NaN(), math.Copysign(0, -1), 0, math.Inf(1), math.Inf(-1)}[r.rng.IntN(6)]
	case 1:
		return math.Float64frombits(r.rng.Uint64())
	case 2:
		return r.rng.NormFloat64()
	}
	return float64(r.rng.IntN(2000)-1000) / []float64{1, 4, 100}[r.rng.IntN(3)]
}

func (r *random) pick(from ...string) string { return from[r.rng.IntN(len(from))] }

func (r *random) selection() store.Selection {
	sel := store.Selection{Tenant: r.tenants[r.rng.IntN(len(r.tenants))]}
	for range 1 + r.rng.IntN(3) {
		types := []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}
		name, value := r.pick("__name__", "x", "y"), r.pick("", "a", "b", "1", "it's", "1|2", "a|b|", ".*", ".+", "it.s")
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(types[r.rng.IntN(4)], name, value))
	}
	sel.MinMs, sel.MaxMs = r.time(), r.time()
	if r.rng.IntN(3) == 0 {
		sel.MinMs, sel.MaxMs = math.MinInt64, math.MaxInt64
	}
	return sel
}

func (r *random) compare(sel store.Selection) {
	r.Helper()
	want, err := collect(r.reference, sel)
	if err != nil {
		r.Fatal(err)
	}
	r.same(fmt.Sprint(sel)+"\n"+dump(want), fmt.Sprint(sel)+"\n"+dump(r.read(sel)))
	r.compareSeries(sel, want)
	exemplars, err := r.reference.Exemplars(context.Background(), sel)
	if err != nil {
		r.Fatal(err)
	}
	got, err := r.store.Exemplars(context.Background(), sel)
	if err != nil {
		r.Fatal(err)
	}
	r.same(fmt.Sprint(sel)+"\n"+dumpExemplars(exemplars), fmt.Sprint(sel)+"\n"+dumpExemplars(got))
}

// compareSeries: what is listed has to hold every series with a point in the selection, and none but those that
// may have one, as the reference sees it.
func (r *random) compareSeries(sel store.Selection, points []*store.SeriesData) {
	r.Helper()
	// A store may be a day off, because a series is listed once an hour only.
	wide := sel
	if wide.MinMs > math.MinInt64 && wide.MinMs <= wide.MaxMs {
		wide.MinMs, wide.MaxMs = wide.MinMs-dayMs, wide.MaxMs+dayMs
	}
	may, err := r.reference.Series(context.Background(), wide)
	if err != nil {
		r.Fatal(err)
	}
	got, err := r.store.Series(context.Background(), sel)
	if err != nil {
		r.Fatal(err)
	}
	listed := map[string]bool{}
	for _, ls := range got {
		if listed[ls.String()] {
			r.Errorf("%v lists %s twice", sel, ls)
		}
		listed[ls.String()] = true
		if !slices.ContainsFunc(may, func(o labels.Labels) bool { return labels.Equal(o, ls) }) {
			r.Errorf("%v lists %s", sel, ls)
		}
	}
	for _, d := range points {
		if !listed[d.Labels.String()] {
			r.Errorf("%v does not list %s", sel, d.Labels)
		}
	}
}
