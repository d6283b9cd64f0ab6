package api

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// payload is the data of a response; it writes itself as JSON.
type payload interface {
	encode(e *encoder) error
}

// queryData is the payload of query and query_range.
type queryData struct {
	value parser.Value

	// stats is JSON already, or nil.
	stats []byte
}

func (d queryData) encode(e *encoder) error {
	e.raw(`{"resultType":`)
	e.buf = appendString(e.buf, string(d.value.Type()))
	e.raw(`,"result":`)
	if err := encodeValue(e, d.value); err != nil {
		return err
	}
	if d.stats != nil {
		e.raw(`,"stats":`)
		e.buf = append(e.buf, d.stats...)
	}
	e.raw(`}`)
	return nil
}

func encodeValue(e *encoder, v parser.Value) error {
	switch v := v.(type) {
	case promql.Matrix:
		encodeMatrix(e, v)
	case promql.Vector:
		encodeVector(e, v)
	case promql.Scalar:
		e.buf = append(appendSeconds(append(e.buf, '['), v.T), `,"`...)
		e.buf = strconv.AppendFloat(e.buf, v.V, 'f', -1, 64)
		e.raw(`"]`)
	case promql.String:
		e.buf = append(appendSeconds(append(e.buf, '['), v.T), ',')
		e.buf = append(appendString(e.buf, v.V), ']')
	default:
		return jsonData{v}.encode(e)
	}
	return nil
}

// appendSeconds writes the timestamp of a scalar, which Prometheus formats as any float of JSON.
func appendSeconds(dst []byte, ms int64) []byte {
	f := float64(ms) / 1000
	if math.Abs(f) < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, 64)
}

func encodeVector(e *encoder, v promql.Vector) {
	e.raw(`[`)
	for i := range v {
		s := &v[i]
		if i > 0 {
			e.raw(`,`)
		}
		e.raw(`{"metric":`)
		e.buf = appendLabels(e.buf, s.Metric)
		if s.H == nil {
			e.raw(`,"value":[`)
			e.buf = append(appendTimestamp(e.buf, s.T), ',')
			e.buf = appendFloat(e.buf, s.F)
		} else {
			e.raw(`,"histogram":[`)
			e.buf = append(appendTimestamp(e.buf, s.T), ',')
			e.buf = appendHistogram(e.buf, s.H)
		}
		e.raw(`]}`)
		e.flushIfLarge()
	}
	e.raw(`]`)
}

func encodeMatrix(e *encoder, m promql.Matrix) {
	e.raw(`[`)
	for i := range m {
		if i > 0 {
			e.raw(`,`)
		}
		encodeSeries(e, &m[i])
	}
	e.raw(`]`)
}

func encodeSeries(e *encoder, s *promql.Series) {
	e.raw(`{"metric":`)
	e.buf = appendLabels(e.buf, s.Metric)
	open := `,"values":[[`
	for _, p := range s.Floats {
		e.buf = append(e.buf, open...)
		open = `,[`
		e.buf = append(appendTimestamp(e.buf, p.T), ',')
		e.buf = append(appendFloat(e.buf, p.F), ']')
		e.flushIfLarge()
	}
	if len(s.Floats) > 0 {
		e.raw(`]`)
	}
	open = `,"histograms":[[`
	for _, p := range s.Histograms {
		e.buf = append(e.buf, open...)
		open = `,[`
		e.buf = append(appendTimestamp(e.buf, p.T), ',')
		e.buf = append(appendHistogram(e.buf, p.H), ']')
		e.flushIfLarge()
	}
	if len(s.Histograms) > 0 {
		e.raw(`]`)
	}
	e.raw(`}`)
}

// stringsData is a payload of a list of names or values.
type stringsData []string

func (d stringsData) encode(e *encoder) error {
	e.raw(`[`)
	for i, s := range d {
		if i > 0 {
			e.raw(`,`)
		}
		e.buf = appendString(e.buf, s)
		e.flushIfLarge()
	}
	e.raw(`]`)
	return nil
}

// seriesData is a payload of label sets.
type seriesData []labels.Labels

func (d seriesData) encode(e *encoder) error {
	e.raw(`[`)
	for i, ls := range d {
		if i > 0 {
			e.raw(`,`)
		}
		e.buf = appendLabels(e.buf, ls)
		e.flushIfLarge()
	}
	e.raw(`]`)
	return nil
}

// jsonData is a payload of anything small.
type jsonData struct{ v any }

func (d jsonData) encode(e *encoder) error {
	b, err := json.Marshal(d.v)
	if err != nil {
		return err
	}
	e.buf = append(e.buf, b...)
	return nil
}
