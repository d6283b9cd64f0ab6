package store_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/value"
)

// TestPreferIsTotal: of each two different values exactly one is preferred, and never in a circle.
func TestPreferIsTotal(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	values := []float64{
		stale, math.NaN(), math.Float64frombits(0x7ff8000000000000), math.Float64frombits(0xfff8000000000001), math.Float64frombits(0x7ff0000000000003),
		math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.Inf(1),
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		values = append(values, math.Float64frombits(rng.Uint64()))
	}
	for _, a := range values {
		for _, b := range values {
			same := math.Float64bits(a) == math.Float64bits(b)
			if ab, ba := store.Prefer(a, b), store.Prefer(b, a); same && (ab || ba) || !same && ab == ba {
				t.Errorf("Prefer(%x, %x) is %t, the other way %t", math.Float64bits(a), math.Float64bits(b), ab, ba)
			}
			for _, c := range values {
				if store.Prefer(a, b) && store.Prefer(b, c) && !store.Prefer(a, c) {
					t.Errorf("%x < %x < %x, but not the first and the last", math.Float64bits(a), math.Float64bits(b), math.Float64bits(c))
				}
			}
		}
	}
}

func TestPrefer(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	// Each is preferred to all before it.
	order := []float64{stale, math.NaN(), math.Inf(-1), -1, math.Copysign(0, -1), 0, 1, math.Inf(1)}
	for i, a := range order {
		for j, b := range order {
			if got := store.Prefer(a, b); got != (i < j) {
				t.Errorf("Prefer(%v, %v) is %t", a, b, got)
			}
		}
	}
}
