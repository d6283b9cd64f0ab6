package cache

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
)

func someSeries() promql.Matrix {
	h := &histogram.FloatHistogram{Count: 3, Sum: math.Copysign(0, -1), Schema: histogram.CustomBucketsSchema, CustomValues: []float64{1, 2},
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{1, 2}, CounterResetHint: histogram.NotCounterReset}
	return promql.Matrix{
		{Metric: labels.EmptyLabels(), Floats: []promql.FPoint{{T: 1000, F: math.Copysign(0, -1)}, {T: 1015, F: math.Inf(-1)}, {T: 1045, F: math.NaN()}}},
		{Metric: labels.FromStrings("__name__", "a", "b", "ü\x00"), Floats: []promql.FPoint{{T: 1030, F: math.Float64frombits(value.NormalNaN + 7)}},
			Histograms: []promql.HPoint{{T: 1015, H: h}, {T: 1045, H: h.Copy()}}},
	}
}

func someEntry(key string) *entry {
	return encode(key, entry{times: span{1000, 1045}, step: 15, changes: math.MaxUint64, rawFrom: -7, madeMs: 42}, someSeries())
}

// bits shows floats by their bits.
func bits(m promql.Matrix) any {
	type point struct {
		t int64
		v uint64
		h string
	}
	out := map[string][]point{}
	for _, s := range m {
		for _, p := range s.Floats {
			out[s.Metric.String()] = append(out[s.Metric.String()], point{t: p.T, v: math.Float64bits(p.F)})
		}
		for _, p := range s.Histograms {
			out[s.Metric.String()] = append(out[s.Metric.String()], point{t: p.T, v: math.Float64bits(p.H.Sum), h: p.H.TestExpression()})
		}
	}
	return out
}

func TestEntriesComeBackBitByBit(t *testing.T) {
	e, err := parse("key", bytes.Clone(someEntry("key").bytes))
	if err != nil {
		t.Fatal(err)
	}
	if e.times != (span{1000, 1045}) || e.step != 15 || e.changes != math.MaxUint64 || e.rawFrom != -7 || e.madeMs != 42 {
		t.Errorf("%+v", e)
	}
	for wanted, m := range map[span]promql.Matrix{
		everything:   someSeries(),
		{1015, 1030}: {{Metric: labels.EmptyLabels(), Floats: someSeries()[0].Floats[1:2]}, {Metric: someSeries()[1].Metric, Floats: someSeries()[1].Floats, Histograms: someSeries()[1].Histograms[:1]}},
		{1001, 1014}: {},
	} {
		a := newAssembly(4)
		if err := a.addEntry(e, wanted); err != nil {
			t.Fatal(err)
		}
		if got, want := bits(a.matrix()), bits(m); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, want %v", wanted, got, want)
		}
	}
}

// TestOtherBytesAreRefused cuts, changes and confuses entries.
func TestOtherBytesAreRefused(t *testing.T) {
	whole := someEntry("key").bytes
	for n := range whole {
		if _, err := parse("key", whole[:n]); err == nil {
			t.Errorf("the first %d bytes are an entry", n)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0x10
		if _, err := parse("key", changed); err == nil {
			t.Errorf("with another byte %d it is an entry", n)
		}
	}
	if _, err := parse("another", whole); err == nil {
		t.Error("the entry of a key is one of another")
	}
}

// FuzzSeries reads any bytes as series, as if their hash were right.
func FuzzSeries(f *testing.F) {
	f.Add(someEntry("key").series)
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &entry{times: span{1000, 1045}, step: 15, series: b}
		a := newAssembly(4)
		if err := a.addEntry(e, e.times); err == nil {
			a.matrix()
		}
	})
}
