package codec

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
)

func TestKeepsEveryBit(t *testing.T) {
	for _, v := range versions {
		for _, f := range append(oddFloats, math.Float64frombits(value.StaleNaN), math.Float64frombits(value.NormalNaN), 12.5, 0.1, 1e300) {
			var s, ts, req encoder
			s.double(sampleValue, f)
			s.varint(sampleTime, testNowMs)
			if v == V1 {
				for _, l := range (&generator{}).labelFields([]string{"__name__", "up"}) {
					ts.buf = append(ts.buf, l...)
				}
				ts.bytes(v1SeriesSamples, s.buf)
				req.bytes(v1RequestTimeseries, ts.buf)
			} else {
				ts.bytes(v2SeriesRefs, []byte{1, 2})
				ts.bytes(v2SeriesSamples, s.buf)
				for _, sym := range []string{"", "__name__", "up"} {
					req.string(v2RequestSymbols, sym)
				}
				req.bytes(v2RequestTimeseries, ts.buf)
			}
			r := decode(t, newDecoder(), v, req.buf)
			b := &r.Batch.Samples
			if got := (store.Decimal{Exp: b.Exps[0], Mant: b.Mants[0]}).Float(); math.Float64bits(got) != math.Float64bits(f) {
				t.Errorf("v%d: %x came back as %x", v, math.Float64bits(f), math.Float64bits(got))
			}
		}
	}
}

// TestDecimalsDoNotJump sends 12.5, 12.25 and 13: the exponent may fall, but not come back. A request that was not
// written leaves nothing behind, so that it gives the same rows when it comes again.
func TestDecimalsDoNotJump(t *testing.T) {
	d := newDecoder()
	for i, tc := range []struct {
		value  float64
		commit bool
		exp    int8
	}{{12.5, true, -1}, {12.25, false, -2}, {12.5, false, -1}, {12.25, true, -2}, {13, true, -2}} {
		r := decode(t, d, V1, requestV1(t, floatV1(testNowMs, tc.value, "__name__", "up")))
		if got := r.Batch.Samples.Exps[0]; got != tc.exp {
			t.Errorf("request %d: got exponent %d, want %d", i, got, tc.exp)
		}
		if tc.commit {
			r.Commit()
		}
	}
	series := floatV1(testNowMs, 0.5, "__name__", "down")
	series.Samples = append(series.Samples, prompb.Sample{Timestamp: testNowMs + 1, Value: 0.25}, prompb.Sample{Timestamp: testNowMs + 2, Value: 1})
	r := decode(t, d, V1, requestV1(t, series))
	if diff := cmp.Diff([]int8{-1, -2, -2}, r.Batch.Samples.Exps); diff != "" {
		t.Errorf("in one request: want -, got +\n%s", diff)
	}
}

func TestClockCap(t *testing.T) {
	future, age := testLimits().FutureMs, testLimits().AgeMs
	for _, tc := range []struct {
		ms int64
		ok bool
	}{
		{testNowMs + future, true}, {testNowMs + future + 1, false}, {math.MaxInt64, false},
		{testNowMs - age, true}, {testNowMs - age - 1, false}, {0, false}, {-1, false}, {math.MinInt64, false},
	} {
		for _, v := range versions {
			var body []byte
			if v == V1 {
				body = requestV1(t, floatV1(tc.ms, 1, "__name__", "up"), floatV1(testNowMs, 1, "__name__", "up"))
			} else {
				body = newBuilderV2().add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: tc.ms}, {Timestamp: testNowMs}}}, "__name__", "up").bytes(t)
			}
			r := decode(t, newDecoder(), v, body)
			if got := r.Accepted.Samples == 2 && r.Rejected.Total() == 0; got != tc.ok {
				t.Errorf("v%d: %d: accepted %d, refused: %s", v, tc.ms, r.Accepted.Samples, r.Rejected.String())
			}
			if s := r.Batch.Series; !tc.ok && (len(s) != 1 || s[0].MinMs != testNowMs || s[0].MaxMs != testNowMs || r.Rejected.Total() != 1) {
				t.Errorf("v%d: %d: series %v, refused: %s", v, tc.ms, s, r.Rejected.String())
			}
		}
	}
}

// TestAnyAgeWithoutALimit accepts what is as old as time.
func TestAnyAgeWithoutALimit(t *testing.T) {
	d := newDecoderOfAnyAge()
	for ms, why := range map[int64]Reason{0: -1, 1: -1, -1: BeforeEpoch, testNowMs + testLimits().FutureMs + 1: TooFarInFuture} {
		r := decode(t, d, V1, requestV1(t, floatV1(ms, 1, "__name__", "up")))
		if why < 0 && r.Accepted.Samples != 1 || why >= 0 && r.Rejected.Count(why) != 1 {
			t.Errorf("%d: accepted %+v, %s", ms, r.Accepted, r.Rejected.String())
		}
	}
}

// TestLateAndOutOfOrder sends the points of a series in no order: all that are young enough are taken.
func TestLateAndOutOfOrder(t *testing.T) {
	const day = 86_400_000
	series := floatV1(testNowMs, 0, "__name__", "up", "job", "x")
	for i, ms := range []int64{testNowMs - 3*day, testNowMs - 8*day, testNowMs - 7*day, testNowMs - 1, testNowMs - 6*day} {
		series.Samples = append(series.Samples, prompb.Sample{Timestamp: ms, Value: float64(i + 1)})
	}
	r := decode(t, newDecoder(), V1, requestV1(t, series))
	want := []int64{testNowMs, testNowMs - 3*day, testNowMs - 7*day, testNowMs - 1, testNowMs - 6*day}
	if diff := cmp.Diff(want, r.Batch.Samples.TimesMs); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if s := r.Batch.Series[0]; s.MinMs != testNowMs-7*day || s.MaxMs != testNowMs {
		t.Errorf("got %+v", s)
	}
	if c := r.Rejected.Cases(); len(c) != 1 || c[0].Reason != TooOld || c[0].Series != `"up"{"job"="x"}` || !strings.Contains(c[0].Detail, "192h0m0s old") {
		t.Errorf("got %+v", c)
	}
}

func TestExemplarRules(t *testing.T) {
	long := strings.Repeat("ü", 60)
	tests := map[string]struct {
		labels []string
		ms     int64
		why    Reason
		ok     bool
	}{
		"plain":            {[]string{"trace_id", "x"}, testNowMs, 0, true},
		"no labels":        {nil, testNowMs, 0, true},
		"128 characters":   {[]string{"eight888", long, "a", long[:118]}, testNowMs, 0, true},
		"129 characters":   {[]string{"eight888", long, "a", long}, testNowMs, BadExemplar, false},
		"without a name":   {[]string{"", "x"}, testNowMs, BadExemplar, false},
		"twice":            {[]string{"a", "x", "a", "x"}, testNowMs, BadExemplar, false},
		"not UTF-8":        {[]string{"a", "\xff"}, testNowMs, BadExemplar, false},
		"in the future":    {nil, testNowMs + 600_001, TooFarInFuture, false},
		"too old":          {nil, testNowMs - 8*86_400_000, TooOld, false},
		"too many to name": {manyLabels(70), testNowMs, BadExemplar, false},
	}
	for name, tc := range tests {
		v1 := floatV1(testNowMs, 1, "__name__", "up")
		v1.Exemplars = []prompb.Exemplar{{Labels: labelsV1(tc.labels...), Timestamp: tc.ms, Value: 2}}
		b := newBuilderV2()
		v2 := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}}, Exemplars: []writev2.Exemplar{{LabelsRefs: b.refs(tc.labels...), Timestamp: tc.ms, Value: 2}}}
		for v, body := range map[Version][]byte{V1: requestV1(t, v1), V2: b.add(v2, "__name__", "up").bytes(t)} {
			r := decode(t, newDecoder(), v, body)
			if r.Accepted.Samples != 1 || tc.ok != (r.Accepted.Exemplars == 1) || tc.ok != (r.Rejected.Total() == 0) {
				t.Errorf("%s, v%d: accepted %+v, %s", name, v, r.Accepted, r.Rejected.String())
			}
			if !tc.ok && r.Rejected.Count(tc.why) != 1 {
				t.Errorf("%s, v%d: %s", name, v, r.Rejected.String())
			}
		}
	}
}

func manyLabels(n int) []string {
	var ls []string
	for i := range n {
		ls = append(ls, string(rune('a'+i)), "v")
	}
	return ls
}

func TestLimitsOnWholeRequests(t *testing.T) {
	limits := testLimits()
	limits.Series, limits.Points = 3, 4
	var series []prompb.TimeSeries
	for range 4 {
		series = append(series, floatV1(testNowMs, 1, "__name__", "up"))
	}
	points := floatV1(testNowMs, 1, "__name__", "up")
	points.Samples = make([]prompb.Sample, 5)
	b := newBuilderV2()
	for range 4 {
		b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: 1}}}, "__name__", "up")
	}
	symbols := newBuilderV2()
	for i := range symbolsPerSeries * 3 {
		symbols.symbols.Symbolize(strings.Repeat("x", i+1))
	}
	metadata := &prompb.WriteRequest{Metadata: make([]prompb.MetricMetadata, 5)}
	for name, tc := range map[string]struct {
		v    Version
		body []byte
	}{
		"series":    {V1, requestV1(t, series...)},
		"points":    {V1, requestV1(t, points)},
		"metadata":  {V1, marshal(t, metadata)},
		"series v2": {V2, b.bytes(t)},
		"symbols":   {V2, symbols.bytes(t)},
	} {
		var r Request
		err := NewDecoder(limits, NewCache(10, 3600_000)).Decode(&r, tc.v, testTenant, tc.body, testNowMs)
		if !errors.Is(err, ErrTooMuch) || store.KindOf(err) != store.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if r := decode(t, NewDecoder(limits, NewCache(10, 3600_000)), V1, requestV1(t, series[:3]...)); r.Accepted.Samples != 3 {
		t.Errorf("at the limit: %+v", r.Accepted)
	}
}

// TestLabelsWithoutEnd sends label sets that are small on the wire and large in memory.
func TestLabelsWithoutEnd(t *testing.T) {
	const n = 1 << 20
	empty := bytes.Repeat([]byte{0x0a, 0x00}, n) // 1.0: labels without name and value
	var ts, req encoder
	ts.buf = append(ts.buf, empty...)
	req.bytes(v1RequestTimeseries, ts.buf)
	r := decode(t, newDecoder(), V1, req.buf)
	if r.Rejected.Count(NoMetricName) != 1 || cap(r.labels) > 1000 {
		t.Errorf("1.0, empty: %s, room for %d labels", r.Rejected.String(), cap(r.labels))
	}
	ts, req = encoder{}, encoder{}
	for range n {
		ts.buf = append(ts.buf, 0x0a, 0x03, 0x12, 0x01, 'x')
	}
	req.bytes(v1RequestTimeseries, ts.buf)
	r = decode(t, newDecoder(), V1, req.buf)
	if r.Rejected.Count(TooManyLabels) != 1 || cap(r.labels) > 1000 {
		t.Errorf("1.0: %s, room for %d labels", r.Rejected.String(), cap(r.labels))
	}
	ts, req = encoder{}, encoder{}
	req.string(v2RequestSymbols, "")
	ts.bytes(v2SeriesRefs, make([]byte, n))
	req.bytes(v2RequestTimeseries, ts.buf)
	r = decode(t, newDecoder(), V2, req.buf)
	if r.Rejected.Count(TooManyLabels) != 1 || cap(r.refs)+cap(r.raw) > 100_000 {
		t.Errorf("2.0: %s, room for %d references", r.Rejected.String(), cap(r.refs))
	}
}

func TestHistogramRules(t *testing.T) {
	good := func() *histogram.Histogram {
		return &histogram.Histogram{Schema: 3, Count: 6, Sum: 2.5, ZeroThreshold: 0.001, ZeroCount: 1,
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{2, 1}}
	}
	custom := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 3, CustomValues: []float64{1, 2},
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}}
	fine := good()
	fine.Schema = 20
	miscounted := good()
	miscounted.Count = 7
	unknown := good()
	unknown.Schema = 60
	manySpans := good()
	manySpans.PositiveSpans = append(manySpans.PositiveSpans, make([]histogram.Span, 10_000)...)
	manyBuckets := good()
	manyBuckets.PositiveBuckets = append(manyBuckets.PositiveBuckets, make([]int64, 10_000)...)
	manyBounds := custom.Copy()
	manyBounds.CustomValues = make([]float64, 10_001)
	for name, tc := range map[string]struct {
		h      *histogram.Histogram
		schema int32
		ok     bool
	}{
		"too many buckets": {manyBuckets, 0, false}, "too many bounds": {manyBounds, 0, false},
		"exponential": {good(), 3, true}, "custom bounds": {custom, histogram.CustomBucketsSchema, true}, "too fine": {fine, 8, true},
		"miscounted": {miscounted, 0, false}, "unknown schema": {unknown, 0, false}, "too many spans": {manySpans, 0, false},
	} {
		for _, h := range []writev2.Histogram{writev2.FromIntHistogram(0, testNowMs, tc.h), writev2.FromFloatHistogram(0, testNowMs, tc.h.ToFloat(nil))} {
			isFloat := h.IsFloatHistogram()
			if name == "miscounted" && isFloat {
				continue // rounding allows it
			}
			r := decode(t, newDecoder(), V2, newBuilderV2().add(writev2.TimeSeries{Histograms: []writev2.Histogram{h}}, "__name__", "h").bytes(t))
			if !tc.ok {
				if r.Rejected.Count(BadHistogram) != 1 || len(r.Batch.Histograms) != 0 || len(r.Batch.Series) != 0 {
					t.Errorf("%s: %s, %d histograms", name, r.Rejected.String(), len(r.Batch.Histograms))
				}
				continue
			}
			if r.Rejected.Total() != 0 || len(r.Batch.Histograms) != 1 {
				t.Fatalf("%s: %s", name, r.Rejected.String())
			}
			got := r.Batch.Histograms[0]
			ints, floats, err := store.DecodeHistogram(got.Blob)
			if err != nil || (floats != nil) != isFloat || got.Count != float64(tc.h.Count) || got.Sum != tc.h.Sum {
				t.Fatalf("%s: got %+v, %v", name, got, err)
			}
			if floats == nil {
				floats = ints.ToFloat(nil)
			}
			if floats.Schema != tc.schema || floats.Validate() != nil {
				t.Errorf("%s: got schema %d", name, floats.Schema)
			}
		}
	}
}

func TestMetadataOf20IsSentOnceAndAgainAfterAnHour(t *testing.T) {
	d := newDecoder()
	b := newBuilderV2()
	meta := writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_HISTOGRAM, HelpRef: b.refs("Latency.")[0], UnitRef: b.refs("seconds")[0]}
	ts := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}}, Metadata: meta}
	body := b.add(ts, "__name__", "latency_bucket", "le", "1").add(ts, "__name__", "latency_bucket", "le", "2").add(ts, "__name__", "latency_sum").bytes(t)
	want := store.Metadata{Tenant: testTenant, Name: "latency", Type: "histogram", Help: "Latency.", Unit: "seconds"}
	for i, tc := range []struct {
		afterMs int64
		commit  bool
		want    int
	}{{0, false, 1}, {1000, true, 1}, {2000, true, 0}, {metadataAgainMs + 1000, true, 1}, {metadataAgainMs + 2000, true, 0}} {
		var r Request
		if err := d.Decode(&r, V2, testTenant, body, testNowMs+tc.afterMs); err != nil {
			t.Fatal(err)
		}
		if len(r.Batch.Metadata) != tc.want || tc.want == 1 && r.Batch.Metadata[0] != want {
			t.Errorf("request %d: got %+v", i, r.Batch.Metadata)
		}
		if tc.commit {
			r.Commit()
		}
	}
	for _, s := range decode(t, d, V2, body).Batch.Series { // erased
		d.cache.Forget(s.Key)
	}
	if r := decode(t, d, V2, body); len(r.Batch.Metadata) != 1 {
		t.Errorf("forgotten: got %+v", r.Batch.Metadata)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	help := strings.Repeat("x", maxTextBytes+1)
	r := decode(t, newDecoder(), V1, marshal(t, &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{MetricFamilyName: "x", Help: help}}}))
	if r.Accepted.Metadata != 0 || r.Rejected.Count(BadMetadata) != 1 {
		t.Errorf("1.0: %+v", r.Rejected)
	}
	b := newBuilderV2()
	ts := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}}, Metadata: writev2.Metadata{HelpRef: b.refs(help)[0]}}
	r = decode(t, newDecoder(), V2, b.add(ts, "__name__", "x").bytes(t))
	if r.Accepted.Metadata != 0 || r.Accepted.Samples != 1 || r.Rejected.Count(BadMetadata) != 1 {
		t.Errorf("2.0: %+v", r.Rejected)
	}
}

func TestFamily(t *testing.T) {
	for _, tc := range []struct {
		name, typ  string
		histograms int
		want       string
	}{
		{"x_bucket", "histogram", 0, "x"}, {"x_count", "histogram", 0, "x"}, {"x_sum", "summary", 0, "x"},
		{"x_gcount", "gaugehistogram", 0, "x"}, {"x_count", "histogram", 1, "x_count"}, {"x_total", "counter", 0, "x_total"},
		{"x_count", "gauge", 0, "x_count"}, {"x", "summary", 0, "x"}, {"_sum", "summary", 0, "_sum"}, {"x_bucket", "summary", 0, "x_bucket"},
	} {
		if got := family(tc.name, tc.typ, tc.histograms); got != tc.want {
			t.Errorf("family(%q, %q, %d) = %q, want %q", tc.name, tc.typ, tc.histograms, got, tc.want)
		}
	}
}

func TestOnlyMetadata(t *testing.T) {
	r := decode(t, newDecoder(), V1, marshal(t, &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{
		{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "x_total", Help: "Help.", Unit: "seconds"}, {MetricFamilyName: ""},
	}}))
	if r.Accepted.Metadata != 1 || r.Rejected.Count(BadMetadata) != 1 || r.Batch.Metadata[0].Type != "counter" {
		t.Errorf("got %+v, %+v", r.Batch.Metadata, r.Rejected)
	}
	b := newBuilderV2()
	meta := writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: b.refs("Help.")[0]}
	r = decode(t, newDecoder(), V2, b.add(writev2.TimeSeries{Metadata: meta}, "__name__", "x_total").bytes(t))
	if r.Accepted.Metadata != 1 || r.Rejected.Total() != 0 || len(r.Batch.Series) != 0 {
		t.Errorf("got %+v, %+v", r.Batch, r.Rejected)
	}
}

func TestBadReferences(t *testing.T) {
	sample := []writev2.Sample{{Timestamp: testNowMs}}
	tests := map[string]struct {
		change func(*writev2.TimeSeries)
		why    Reason
		kept   int
	}{
		"label":         {func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, 99} }, BadSymbolRef, 0},
		"label, 2^32-1": {func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{math.MaxUint32, 1} }, BadSymbolRef, 0},
		"odd":           {func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, 2, 1} }, BadSymbolRef, 0},
		"help":          {func(ts *writev2.TimeSeries) { ts.Metadata.HelpRef = 99 }, BadMetadata, 1},
		"unit":          {func(ts *writev2.TimeSeries) { ts.Metadata.UnitRef = 99 }, BadMetadata, 1},
		"exemplar": {func(ts *writev2.TimeSeries) {
			ts.Exemplars = []writev2.Exemplar{{LabelsRefs: []uint32{1, 99}, Timestamp: testNowMs}}
		}, BadExemplar, 1},
		"exemplar, odd": {func(ts *writev2.TimeSeries) {
			ts.Exemplars = []writev2.Exemplar{{LabelsRefs: []uint32{1}, Timestamp: testNowMs}}
		}, BadExemplar, 1},
		"nothing": {func(ts *writev2.TimeSeries) { ts.Samples = nil }, EmptySeries, 0},
	}
	for name, tc := range tests {
		ts := writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: sample}
		tc.change(&ts)
		body := marshal(t, &writev2.Request{Symbols: []string{"", "__name__", "up"}, Timeseries: []writev2.TimeSeries{ts}})
		r := decode(t, newDecoder(), V2, body)
		if r.Rejected.Count(tc.why) != 1 || r.Rejected.Total() != 1 || r.Accepted.Samples != tc.kept {
			t.Errorf("%s: %+v, accepted %+v", name, r.Rejected, r.Accepted)
		}
	}
}

func TestTheOtherMessageIsToldApart(t *testing.T) {
	v1 := requestV1(t, floatV1(testNowMs, 1, "__name__", "up"))
	v2 := newBuilderV2().add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: 1}}}, "__name__", "up").bytes(t)
	var r Request
	if err := newDecoder().Decode(&r, V2, testTenant, v1, testNowMs); err == nil || !strings.Contains(err.Error(), "Content-Type") {
		t.Errorf("1.0 taken for 2.0: %v", err)
	}
	if err := newDecoder().Decode(&r, V1, testTenant, v2, testNowMs); err == nil || !strings.Contains(err.Error(), "Content-Type") {
		t.Errorf("2.0 taken for 1.0: %v", err)
	}
	for _, v := range versions {
		if err := newDecoder().Decode(&r, v, testTenant, nil, testNowMs); err != nil {
			t.Errorf("an empty request: %v", err)
		}
	}
}

// TestSteadyStateDoesNotAllocate decodes one request again and again.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, v := range versions {
		g := newGenerator(7, v)
		g.tame = true
		body := g.request()
		d := newDecoder()
		var r Request
		run := func() {
			if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
				t.Fatal(err)
			}
			r.Commit()
		}
		run()
		exemplars := float64(r.Accepted.Exemplars + r.Accepted.Metadata) // their strings are their own
		if n := testing.AllocsPerRun(100, run); n > 3*exemplars {
			t.Errorf("v%d: %v allocations for %+v", v, n, r.Accepted)
		}
	}
}
