package store_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/metricstream/metricstream/store"
)

// comesBack checks the round trip of one value with each number of digits that its series may have had.
func comesBack(t *testing.T, v float64) {
	t.Helper()
	for decimals := range uint8(18) {
		d, next := store.DecimalOf(v, decimals)
		if math.Float64bits(d.Float()) != math.Float64bits(v) {
			t.Fatalf("%v (%016x) with %d decimals is %+v, and that is %v", v, math.Float64bits(v), decimals, d, d.Float())
		}
		if next < decimals || next > 17 {
			t.Fatalf("%v with %d decimals: %d come next", v, decimals, next)
		}
		if d.Exp != store.RawExp && (d.Exp > 0 || -int(d.Exp) > int(next)) {
			t.Fatalf("%v with %d decimals has the exponent %d, and %d come next", v, decimals, d.Exp, next)
		}
	}
}

func oddFloats() []float64 {
	values := []float64{
		0, math.Copysign(0, -1), 1, 0.1, 0.2, 0.3, 1.0 / 3, 100.0 / 3, 12.5, 12.25, 13, 1e-17, 1e-18, 123456789.123456789,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.MaxInt64, math.MaxUint64, math.Pi, math.E, math.Inf(1),
		1<<53 - 1, 1 << 53, 1<<53 + 2, 2.2250738585072014e-308, 2.2250738585072011e-308,
		math.Float64frombits(0x7ff0000000000001), math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0x7ff8000000000001),
	}
	for e := -20; e < 25; e++ {
		values = append(values, math.Pow10(e), math.Nextafter(math.Pow10(e), 0), math.Nextafter(math.Pow10(e), math.Inf(1)))
	}
	for _, v := range values {
		values = append(values, -v)
	}
	return values
}

func TestDecimalOddValues(t *testing.T) {
	for _, v := range oddFloats() {
		comesBack(t, v)
	}
}

func TestDecimalRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		comesBack(t, math.Float64frombits(rng.Uint64()))
		comesBack(t, float64(rng.Int64N(1<<40)-1<<39)/math.Pow10(rng.IntN(18)))
		comesBack(t, float64(rng.Int64()>>rng.IntN(64)))
	}
}

// TestDecimalShort: what was scraped as a short decimal is stored as that decimal, not as bits.
func TestDecimalShort(t *testing.T) {
	for _, c := range []struct {
		value    float64
		decimals uint8
		want     store.Decimal
		next     uint8
	}{
		{0, 0, store.Decimal{}, 0},
		{42, 0, store.Decimal{Exp: 0, Mant: 42}, 0},
		{-42, 0, store.Decimal{Exp: 0, Mant: -42}, 0},
		{12.5, 0, store.Decimal{Exp: -1, Mant: 125}, 1},
		{12.25, 1, store.Decimal{Exp: -2, Mant: 1225}, 2},
		{13, 2, store.Decimal{Exp: -2, Mant: 1300}, 2},
		{0.1, 0, store.Decimal{Exp: -1, Mant: 1}, 1},
		{0.000123, 0, store.Decimal{Exp: -6, Mant: 123}, 6},
		{1e15, 0, store.Decimal{Exp: 0, Mant: 1e15}, 0},
		{1e15, 3, store.Decimal{Exp: 0, Mant: 1e15}, 3}, // more digits do not fit; the series keeps them
		{1e12 + 0.5, 6, store.Decimal{Exp: -3, Mant: 1e15 + 500}, 6},
		{0, 17, store.Decimal{Exp: -17, Mant: 0}, 17},
	} {
		d, next := store.DecimalOf(c.value, c.decimals)
		if d != c.want || next != c.next {
			t.Errorf("%v with %d decimals is %+v, next %d; wanted %+v, next %d", c.value, c.decimals, d, next, c.want, c.next)
		}
	}
	tenth := 0.1 // a variable, for a constant 0.1 + 0.2 is exactly 0.3
	for _, v := range []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), 1 << 60, tenth + 0.2} {
		if d, next := store.DecimalOf(v, 2); d.Exp != store.RawExp || next != 2 {
			t.Errorf("%v is %+v, next %d; wanted its bits", v, d, next)
		}
	}
}

// TestDecimalSteady: the exponent of a series does not jump from sample to sample.
func TestDecimalSteady(t *testing.T) {
	decimals := uint8(0)
	changes := 0
	last := int8(0)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		var d store.Decimal
		d, decimals = store.DecimalOf(float64(rng.IntN(100_000))/100, decimals)
		if d.Exp != last {
			changes++
			last = d.Exp
		}
	}
	if changes > 2 {
		t.Errorf("the exponent changed %d times in a series of at most two decimals", changes)
	}
}

// TestDecimalUnknown: a Decimal that no DecimalOf made still is a number, and not a panic.
func TestDecimalUnknown(t *testing.T) {
	for exp := math.MinInt8; exp <= math.MaxInt8; exp++ {
		store.Decimal{Exp: int8(exp), Mant: math.MinInt64}.Float()
	}
}

func FuzzDecimal(f *testing.F) {
	for _, v := range oddFloats() {
		f.Add(math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint64) { comesBack(t, math.Float64frombits(bits)) })
}

func BenchmarkDecimalOf(b *testing.B) {
	for name, values := range map[string][]float64{
		"counter": {1024, 1025, 1027, 1100}, "two_decimals": {0.25, 12.5, 13, 99.99}, "thirds": {1.0 / 3, 2.0 / 3, 4.0 / 3, 5.0 / 3},
	} {
		b.Run(name, func(b *testing.B) {
			decimals := uint8(0)
			for i := 0; b.Loop(); i++ {
				_, decimals = store.DecimalOf(values[i%len(values)], decimals)
			}
		})
	}
}
