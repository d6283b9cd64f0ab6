package api

import (
	"io"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// The encoder writes the same text as Prometheus' JSON codec, byte for byte, by appending to one buffer. Labels
// are written without HTML escapes and everything else with them, as there.

// flushBytes is the size at which the buffer is handed to the writer, so that a large result is not held as
// text too.
const flushBytes = 64 << 10

type encoder struct {
	w   io.Writer
	buf []byte
	err error
}

var encoders = sync.Pool{New: func() any { return &encoder{buf: make([]byte, 0, flushBytes+8<<10)} }}

func newEncoder(w io.Writer) *encoder {
	e := encoders.Get().(*encoder)
	e.w, e.buf, e.err = w, e.buf[:0], nil
	return e
}

// close writes what is left and returns the first error of the writer.
func (e *encoder) close() error {
	e.flush()
	err := e.err
	e.w = nil
	encoders.Put(e)
	return err
}

func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// flushIfLarge belongs between the elements of every list that can be long.
func (e *encoder) flushIfLarge() {
	if len(e.buf) >= flushBytes {
		e.flush()
	}
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

// appendTimestamp writes milliseconds as seconds with at most three decimals.
func appendTimestamp(dst []byte, ms int64) []byte {
	if ms < 0 {
		dst = append(dst, '-')
		ms = -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		dst = append(dst, '.')
		if f < 100 {
			dst = append(dst, '0')
		}
		if f < 10 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendInt(dst, f, 10)
	}
	return dst
}

// maxExactInt bounds the integers that a float64 holds without gaps.
const maxExactInt = 1 << 53

// appendFloat writes a sample's value as a JSON string.
func appendFloat(dst []byte, f float64) []byte {
	dst = append(dst, '"')
	if i := int64(f); float64(i) == f && i != 0 && -maxExactInt < i && i < maxExactInt {
		dst = strconv.AppendInt(dst, i, 10)
		return append(dst, '"')
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	return append(dst, '"')
}

// appendHistogram writes a native histogram; empty buckets are left out. The first element of a bucket says
// which of its bounds are inclusive: 0 the upper, 1 the lower, 2 none, 3 both.
func appendHistogram(dst []byte, h *histogram.FloatHistogram) []byte {
	dst = append(dst, `{"count":`...)
	dst = appendFloat(dst, h.Count)
	dst = append(dst, `,"sum":`...)
	dst = appendFloat(dst, h.Sum)
	open := `,"buckets":[`
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		dst = append(dst, open...)
		open = ","
		dst = append(dst, '[', boundsRule(b.LowerInclusive, b.UpperInclusive), ',')
		dst = append(appendFloat(dst, b.Lower), ',')
		dst = append(appendFloat(dst, b.Upper), ',')
		dst = append(appendFloat(dst, b.Count), ']')
	}
	if open == "," {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func boundsRule(lower, upper bool) byte {
	switch {
	case lower && upper:
		return '3'
	case lower:
		return '1'
	case upper:
		return '0'
	default:
		return '2'
	}
}

// appendLabels writes a label set as an object.
func appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendPlainString(dst, l.Name)
		dst = append(dst, ':')
		dst = appendPlainString(dst, l.Value)
	})
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// appendPlainString escapes only what JSON requires; bytes that are not UTF-8 stay as they are.
func appendPlainString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[start:i]...)
			dst = appendEscaped(dst, c)
			start = i + 1
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendString also escapes what HTML and JavaScript could misread, and replaces what is not UTF-8.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
				dst = append(dst, s[start:i]...)
				dst = appendEscaped(dst, c)
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + 1
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xF])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
	}
}
