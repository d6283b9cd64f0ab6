package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promapi "github.com/prometheus/prometheus/web/api/v1"
)

// encoded is the whole envelope as we write it.
func encoded(t testing.TB, v parser.Value) string {
	t.Helper()
	var b bytes.Buffer
	e := newEncoder(&b)
	e.raw(`{"status":"success","data":`)
	if err := (queryData{value: v}).encode(e); err != nil {
		t.Fatal(err)
	}
	e.raw(`}`)
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// judged is the same as Prometheus' codec writes it.
func judged(t testing.TB, v parser.Value) string {
	t.Helper()
	b, err := promapi.JSONCodec{}.Encode(&promapi.Response{Status: "success", Data: &promapi.QueryData{ResultType: v.Type(), Result: v}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzEncoder(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e-6, 9.99e-7, 1e21, 1e20, 1 << 53, -(1 << 53) - 2, math.MaxInt64, math.NaN(), math.Inf(1), math.Inf(-1), 5e-324, math.MaxFloat64, 123456789.125} {
		f.Add(v, int64(1_700_000_000_123), "name", "a<b>&\"\\\n\r\t\b\x00\u2028ü\xff")
	}
	for _, ts := range []int64{0, 1, -1, 10, 100, 999, 1000, -999, -1001, 1_700_000_000_010, math.MaxInt64, math.MinInt64 + 1} {
		f.Add(1.5, ts, "", "")
	}
	f.Fuzz(func(t *testing.T, v float64, ts int64, name, value string) {
		if ts == math.MinInt64 {
			return // Prometheus writes two minus signs there
		}
		ls := labels.New(labels.Label{Name: name, Value: value})
		h := &histogram.FloatHistogram{Count: v, Sum: -v, ZeroCount: v, ZeroThreshold: 0.01, Schema: 1,
			PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}}, PositiveBuckets: []float64{v, 0},
			NegativeSpans: []histogram.Span{{Offset: 2, Length: 1}}, NegativeBuckets: []float64{2}}
		for _, value := range []parser.Value{
			promql.Scalar{T: ts, V: v}, promql.String{T: ts, V: value},
			promql.Vector{{Metric: ls, T: ts, F: v}, {Metric: ls, T: ts, H: h}},
			promql.Matrix{{Metric: ls, Floats: []promql.FPoint{{T: ts, F: v}, {T: ts + 1, F: -v}}}, {Metric: ls, Histograms: []promql.HPoint{{T: ts, H: h}}},
				{Metric: ls, Floats: []promql.FPoint{{T: ts, F: v}}, Histograms: []promql.HPoint{{T: ts, H: h}, {T: ts, H: h}}}, {Metric: ls}},
			promql.Matrix{}, promql.Vector{},
		} {
			got, want := encoded(t, value), judged(t, value)
			// Strings go through encoding/json in Prometheus, which has short forms of \b and \f.
			if _, ok := value.(promql.String); ok {
				got, want = unquoted(t, got), unquoted(t, want)
			}
			if got != want {
				t.Errorf("%T:\n got %s\nwant %s", value, got, want)
			}
		}
	})
}

func unquoted(t testing.TB, s string) string {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

func TestEncoderSendsLargeResultsInPieces(t *testing.T) {
	m := bigMatrix(50, 240)
	var w pieces
	e := newEncoder(&w)
	if err := (queryData{value: m}).encode(e); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	if w.count < 4 || w.largest > flushBytes+4096 {
		t.Errorf("%d pieces, the largest of %d bytes", w.count, w.largest)
	}
	if got, want := encoded(t, m), judged(t, m); got != want {
		t.Error("the text differs from Prometheus'")
	}
	e = newEncoder(brokenWriter{})
	e.raw(strings.Repeat("x", flushBytes))
	e.flushIfLarge()
	if err := e.close(); err == nil {
		t.Error("the writer's error is lost")
	}
}

type pieces struct{ count, largest int }

func (p *pieces) Write(b []byte) (int, error) {
	p.count++
	p.largest = max(p.largest, len(b))
	return len(b), nil
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// bigMatrix looks like a dashboard's result: rates with many digits, and a third of whole numbers.
func bigMatrix(series, points int) promql.Matrix {
	r := rand.New(rand.NewPCG(1, 2))
	m := make(promql.Matrix, series)
	for i := range m {
		m[i].Metric = labels.FromStrings("__name__", "http_requests_total", "instance", fmt.Sprintf("host-%d:9090", i), "job", "api", "code", "200")
		for j := range points {
			v := r.Float64() * 1000
			if i%3 == 0 {
				v = math.Floor(v)
			}
			m[i].Floats = append(m[i].Floats, promql.FPoint{T: 1_700_000_000_000 + int64(j)*15_000, F: v})
		}
	}
	return m
}

func BenchmarkEncodeMatrix(b *testing.B) {
	m := bigMatrix(1000, 240)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := newEncoder(io.Discard)
			_ = queryData{value: m}.encode(e)
			_ = e.close()
		}
	})
	b.Run("Prometheus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out, _ := promapi.JSONCodec{}.Encode(&promapi.Response{Status: "success", Data: &promapi.QueryData{ResultType: m.Type(), Result: m}})
			_, _ = io.Discard.Write(out)
		}
	})
}
