package store_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// checkInt holds an encoding against the generated decoder and against DecodeHistogram.
func checkInt(t *testing.T, h *histogram.Histogram) {
	t.Helper()
	prefix := []byte("prefix")
	blob := store.AppendHistogram(prefix, h)
	if !bytes.HasPrefix(blob, prefix) {
		t.Fatal("it does not append")
	}
	blob = blob[len(prefix):]
	var m writev2.Histogram
	if err := m.Unmarshal(blob); err != nil {
		t.Fatalf("the generated decoder refuses %s: %v", h, err)
	}
	got := m.ToIntHistogram()
	if m.IsFloatHistogram() || !got.Equals(h) || got.CounterResetHint != h.CounterResetHint ||
		math.Float64bits(got.Sum) != math.Float64bits(h.Sum) {
		t.Errorf("%s became %s for the generated decoder", h, got)
	}
	asInt, asFloat, err := store.DecodeHistogram(blob)
	if err != nil || asFloat != nil || asInt == nil {
		t.Fatalf("DecodeHistogram: %v, %v, %v", asInt, asFloat, err)
	}
	if !bytes.Equal(store.AppendHistogram(nil, asInt), blob) {
		t.Errorf("%s became %s", h, asInt)
	}
}

func checkFloat(t *testing.T, h *histogram.FloatHistogram) {
	t.Helper()
	blob := store.AppendFloatHistogram(nil, h)
	var m writev2.Histogram
	if err := m.Unmarshal(blob); err != nil {
		t.Fatalf("the generated decoder refuses %s: %v", h, err)
	}
	got := m.ToFloatHistogram()
	if !m.IsFloatHistogram() || !got.Equals(h) || got.CounterResetHint != h.CounterResetHint ||
		math.Float64bits(got.Sum) != math.Float64bits(h.Sum) || math.Float64bits(got.Count) != math.Float64bits(h.Count) ||
		math.Float64bits(got.ZeroCount) != math.Float64bits(h.ZeroCount) {
		t.Errorf("%s became %s for the generated decoder", h, got)
	}
	asInt, asFloat, err := store.DecodeHistogram(blob)
	if err != nil || asInt != nil || asFloat == nil {
		t.Fatalf("DecodeHistogram: %v, %v, %v", asInt, asFloat, err)
	}
	if !bytes.Equal(store.AppendFloatHistogram(nil, asFloat), blob) {
		t.Errorf("%s became %s", h, asFloat)
	}
}

var negativeZero = math.Copysign(0, -1)

func TestHistograms(t *testing.T) {
	checkInt(t, &histogram.Histogram{})
	checkFloat(t, &histogram.FloatHistogram{})
	checkInt(t, &histogram.Histogram{Sum: negativeZero, ZeroThreshold: negativeZero})
	checkFloat(t, &histogram.FloatHistogram{Count: negativeZero, Sum: negativeZero, ZeroCount: negativeZero})
	checkInt(t, &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
	checkFloat(t, &histogram.FloatHistogram{Sum: math.Float64frombits(value.StaleNaN)})
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 6, Sum: -1.5,
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
		PositiveBuckets: []int64{1, 2, -1},
		CustomValues:    []float64{negativeZero, 1, 2.5, math.MaxFloat64},
	}
	checkInt(t, custom)
	checkFloat(t, custom.ToFloat(nil))
	for hint := histogram.UnknownCounterReset; hint <= histogram.GaugeType; hint++ {
		checkInt(t, &histogram.Histogram{CounterResetHint: hint, Schema: 8, Count: math.MaxUint64, ZeroCount: math.MaxUint64, ZeroThreshold: 1e-128})
	}
}

func TestHistogramsRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		h := &histogram.Histogram{
			CounterResetHint: histogram.CounterResetHint(rng.IntN(4)), Schema: int32(rng.IntN(13) - 4),
			ZeroThreshold: rng.Float64(), ZeroCount: rng.Uint64() >> rng.IntN(64), Count: rng.Uint64() >> rng.IntN(64), Sum: rng.NormFloat64(),
		}
		h.PositiveSpans, h.PositiveBuckets = randomBuckets(rng)
		h.NegativeSpans, h.NegativeBuckets = randomBuckets(rng)
		checkInt(t, h)
		f := &histogram.FloatHistogram{
			CounterResetHint: h.CounterResetHint, Schema: h.Schema, ZeroThreshold: h.ZeroThreshold, ZeroCount: rng.NormFloat64(),
			Count: rng.NormFloat64(), Sum: h.Sum, PositiveSpans: h.PositiveSpans, NegativeSpans: h.NegativeSpans,
		}
		for range h.PositiveBuckets {
			f.PositiveBuckets = append(f.PositiveBuckets, rng.NormFloat64())
		}
		for range h.NegativeBuckets {
			f.NegativeBuckets = append(f.NegativeBuckets, negativeZero)
		}
		checkFloat(t, f)
	}
}

func randomBuckets(rng *rand.Rand) ([]histogram.Span, []int64) {
	var spans []histogram.Span
	var buckets []int64
	for range rng.IntN(4) {
		s := histogram.Span{Offset: int32(rng.Uint32() >> rng.IntN(32)), Length: uint32(rng.IntN(200))}
		spans = append(spans, s)
		for range s.Length {
			buckets = append(buckets, rng.Int64()>>rng.IntN(64))
		}
	}
	return spans, buckets
}

// TestHistogramTruncated: every part of an encoding is refused or is another histogram, and never a panic.
func TestHistogramTruncated(t *testing.T) {
	blob := store.AppendHistogram(nil, &histogram.Histogram{
		Count: 300, Sum: 2, PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}}, PositiveBuckets: []int64{100, 100},
	})
	refused := 0
	for i := range blob {
		if _, _, err := store.DecodeHistogram(blob[:i]); err != nil {
			refused++
			if store.KindOf(err) != store.KindInvalid {
				t.Errorf("%d bytes: the kind of %v", i, err)
			}
		}
	}
	if refused == 0 {
		t.Error("no prefix was refused")
	}
}

func FuzzDecodeHistogram(f *testing.F) {
	f.Add(store.AppendHistogram(nil, &histogram.Histogram{Count: 1, PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}}, PositiveBuckets: []int64{1, 1}}))
	f.Add(store.AppendFloatHistogram(nil, &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{1}}))
	f.Fuzz(func(t *testing.T, blob []byte) {
		asInt, asFloat, err := store.DecodeHistogram(blob)
		if err == nil && (asInt == nil) == (asFloat == nil) {
			t.Errorf("%v and %v", asInt, asFloat)
		}
	})
}
