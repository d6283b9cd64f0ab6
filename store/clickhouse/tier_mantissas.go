package clickhouse

import (
	"slices"

	"github.com/metricstream/metricstream/store"
)

// The mantissas of rows with the same exponent, from those that they are stored against; see the schema. Where the exponent
// is [store.RawExp] all are the bits of floats, and differences are exclusive ors.

// less returns what is stored as d below the others.
func less(dst []int64, exp int8, others, d []int64) []int64 {
	_, dst = grow(dst[:0], len(d))
	others = others[:len(d)]
	if exp == store.RawExp {
		return differing(dst, others, d)
	}
	for k, v := range d {
		dst[k] = others[k] - v
	}
	return dst
}

// more returns what is stored as d above the others.
func more(dst []int64, exp int8, others, d []int64) []int64 {
	_, dst = grow(dst[:0], len(d))
	others = others[:len(d)]
	if exp == store.RawExp {
		return differing(dst, others, d)
	}
	for k, v := range d {
		dst[k] = others[k] + v
	}
	return dst
}

// product returns what is stored as d below multiples of the others.
func product(dst []int64, exp int8, others []int64, times []uint32, d []int64) []int64 {
	_, dst = grow(dst[:0], len(d))
	others, times = others[:len(d)], times[:len(d)]
	if exp == store.RawExp {
		return differing(dst, others, d)
	}
	for k, v := range d {
		dst[k] = int64(times[k])*others[k] - v
	}
	return dst
}

// differing returns floats whose bits differ from others by d.
func differing(dst, others, d []int64) []int64 {
	for k, v := range d {
		dst[k] = others[k] ^ v
	}
	return dst
}

// grow returns a column with n more elements, and these.
func grow[T any](column []T, n int) (all, tail []T) {
	old := len(column)
	all = slices.Grow(column, n)[:old+n]
	return all, all[old:]
}
