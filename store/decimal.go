package store

import (
	"math"
	"slices"
)

// Decimal is a float64 as the tables hold it: Mant / 10^-Exp for an Exp of -17 to 0, or the bits of the float
// themselves where Exp is [RawExp]. Every float64 has such a form and comes back bit for bit, the sign of
// zero and the payload of a NaN included: decimals of scraped values compress to half of what floats do.
type Decimal struct {
	Exp  int8
	Mant int64
}

// RawExp marks a Decimal whose Mant is the float's bits.
const RawExp = -128

const (
	maxDecimals = 17
	maxMant     = 1 << 53 // beyond it integers are not exact in a float64
)

var pow10 = [maxDecimals + 1]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}

// DecimalOf returns v with at least decimals digits behind the point, more where v needs them, and the number
// of digits to pass with the next value of the same series. That number never falls, so that neighbours in a
// series have the same exponent and their differences stay small. It begins at 0.
func DecimalOf(v float64, decimals uint8) (Decimal, uint8) {
	if m, ok := mantissa(v, decimals); ok {
		return Decimal{Exp: -int8(decimals), Mant: m}, decimals
	}
	return decimalSlow(v, decimals)
}

// decimalSlow finds the digits of a value that has more, or fewer, than its series had.
func decimalSlow(v float64, decimals uint8) (Decimal, uint8) {
	raw := Decimal{Exp: RawExp, Mant: int64(math.Float64bits(v))}
	abs := math.Abs(v)
	if !(abs < maxMant) || v == 0 { // too large, infinite, NaN or -0
		return raw, decimals
	}
	most := uint8(0)
	for most < maxDecimals && abs*pow10[most+1] < maxMant {
		most++
	}
	if most < decimals {
		// The series has more digits than fit beside an integer part this large: this one value has fewer.
		for d := int(most); d >= 0; d-- {
			if m, ok := mantissa(v, uint8(d)); ok {
				return Decimal{Exp: -int8(d), Mant: m}, decimals
			}
		}
		return raw, decimals
	}
	if !hasDecimal(v, most) {
		return raw, decimals
	}
	for d := decimals; d <= most; d++ {
		if m, ok := mantissa(v, d); ok {
			return Decimal{Exp: -int8(d), Mant: m}, d
		}
	}
	return raw, decimals
}

// hasDecimal tells in two steps that v has no decimal form, as results of divisions have none. A value with a
// short form has a longer one too; only at the most digits that fit the rounding of the product can miss it.
func hasDecimal(v float64, most uint8) bool {
	if _, ok := mantissa(v, most); ok {
		return true
	}
	if most == 0 {
		return false
	}
	_, ok := mantissa(v, most-1)
	return ok
}

// mantissa returns m with m / 10^decimals bit-equal to v, if there is one.
func mantissa(v float64, decimals uint8) (int64, bool) {
	f := math.Round(v * pow10[decimals])
	if !(math.Abs(f) < maxMant) {
		return 0, false
	}
	m := int64(f)
	return m, math.Float64bits(float64(m)/pow10[decimals]) == math.Float64bits(v)
}

// Float returns the float64.
func (d Decimal) Float() float64 {
	switch {
	case d.Exp == 0:
		return float64(d.Mant)
	case d.Exp < 0 && d.Exp >= -maxDecimals:
		return float64(d.Mant) / pow10[-d.Exp]
	default:
		return math.Float64frombits(uint64(d.Mant))
	}
}

// AppendFloats appends the floats of decimals that have the same exponent.
func AppendFloats(dst []float64, exp int8, mants []int64) []float64 {
	from := len(dst)
	dst = slices.Grow(dst, len(mants))[:from+len(mants)]
	out := dst[from:]
	switch {
	case exp == 0:
		for i, m := range mants {
			out[i] = float64(m)
		}
	case exp < 0 && exp >= -maxDecimals:
		by := pow10[-exp]
		for i, m := range mants {
			out[i] = float64(m) / by
		}
	default:
		for i, m := range mants {
			out[i] = math.Float64frombits(uint64(m))
		}
	}
	return dst
}
