package e2e

import (
	"bytes"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	configutil "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// TestHostileInput writes what is odd but allowed, then sends everything that is not, and then finds the first
// intact, from a process that has not even complained.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	h := hostile{t: t, node: n, baseMs: time.Now().Add(-3*time.Minute).Truncate(time.Second).UnixMilli() + 123}

	h.writeOdd()
	h.verifyOdd()
	h.refusedWrites()
	h.refusedReads()
	h.brokenConnections()
	h.verifyOdd()

	if n.Exited() {
		t.Fatal("the process ended")
	}
	if status, body := h.send("GET", "/-/ready", nil, nil); status != http.StatusOK {
		t.Errorf("/-/ready: %d %s", status, body)
	}
	if log, err := os.ReadFile(n.Log); err != nil || bytes.Contains(log, []byte("panic")) {
		t.Errorf("%v: the log tells of a panic", err)
	}
}

type hostile struct {
	t *testing.T
	*node
	baseMs int64 // no whole second: whoever rounds to seconds is found out
}

// at returns a time in the instance's data: some seconds after its first sample.
func (h hostile) at(seconds int64) int64 { return h.baseMs + 1000*seconds }

// oddStrings have meanings in SQL, in text formats of ClickHouse, in JSON, or none at all.
var oddStrings = []string{
	`'; DROP TABLE samples; --`, `\'; SELECT 1 --`, `" OR ""="`, `) UNION ALL SELECT 1 --`, "`", `{tenant:String}`, `%s%n%d`, `/* x`,
	"nul\x00inside", "\x00", "new\nline\r\tand tab", "\x1f\x7f", `back\slash\`, `\N`, `NULL`, `['a','b']`, `{"a":1}`, `</script>`,
	" blanks around ", "日本 \u202e \U0001F4A9 \ufffd", strings.Repeat("x", 4096),
}

// oddBits are floats that are easily lost on the way. The last is a stale marker.
var oddBits = []uint64{
	0x8000000000000000, 0, 1, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
	0x7ff8000000000001, 0x7ff8000000000123, 0xfff8dead0000beef, 0x7ff4000000000001, math.Float64bits(0.1 + 0.2), math.Float64bits(1e-300), 0x7ff0000000000002,
}

var (
	intHistogram = &histogram.Histogram{Schema: 3, Count: 9, Sum: 2.5, ZeroThreshold: 0.001, ZeroCount: 1, PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}, {Offset: 3, Length: 1}},
		PositiveBuckets: []int64{2, 1, -1}, NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []int64{1}}
	floatHistogram = &histogram.FloatHistogram{Schema: -1, Count: 3.75, Sum: -1.5, ZeroThreshold: 0.5, ZeroCount: 0.25, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}},
		PositiveBuckets: []float64{2.25, 1.25}, CounterResetHint: histogram.GaugeType}
	customHistogram = &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 9.5, CustomValues: []float64{0.5, 2.5}, PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{1, 1, 1}}
)

// writeOdd sends what has to be accepted, by both protocols.
func (h hostile) writeOdd() {
	h.t.Helper()
	symbols := writev2.NewSymbolTable()
	refs := func(nameValues ...string) []uint32 {
		return symbols.SymbolizeLabels(labels.FromStrings(nameValues...), nil)
	}
	req := writev2.Request{Timeseries: []writev2.TimeSeries{
		{LabelsRefs: refs("__name__", "rw2_total", "a", "b"), Samples: []writev2.Sample{
			{Value: 5, Timestamp: h.at(0), StartTimestamp: h.at(-10)}, {Value: 7, Timestamp: h.at(15), StartTimestamp: h.at(10)}},
			Exemplars: []writev2.Exemplar{{LabelsRefs: refs("trace_id", oddStrings[0], "nul\x00", "\x00"), Value: 0.25, Timestamp: h.at(15)}},
			Metadata:  writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize(oddStrings[0] + "\x00"), UnitRef: symbols.Symbolize("it's")}},
		{LabelsRefs: refs("__name__", "no_metadata_total"), Samples: []writev2.Sample{{Value: 1, Timestamp: h.at(0)}}},
		{LabelsRefs: refs("__name__", "rw2_int"), Histograms: []writev2.Histogram{writev2.FromIntHistogram(h.at(-10), h.at(0), intHistogram)}},
		{LabelsRefs: refs("__name__", "rw2_float"), Histograms: []writev2.Histogram{writev2.FromFloatHistogram(0, h.at(0), floatHistogram)}},
		{LabelsRefs: refs("__name__", "rw2_custom"), Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, h.at(0), customHistogram)}},
	}}
	for _, s := range oddStrings {
		sample := []writev2.Sample{{Value: 1, Timestamp: h.at(0)}}
		req.Timeseries = append(req.Timeseries, writev2.TimeSeries{LabelsRefs: refs("__name__", "odd_values", "v", s), Samples: sample})
		if len(s) <= 1024 { // the limit of a label's name
			req.Timeseries = append(req.Timeseries, writev2.TimeSeries{LabelsRefs: refs("__name__", "odd_names", s, "x"), Samples: sample},
				writev2.TimeSeries{LabelsRefs: refs("__name__", s, "odd", "metric"), Samples: sample})
		}
	}
	const mark = 0x4028b5f8a1c3e7d9 // the generated marshalers leave out -0, so the bits are put in afterwards
	bits := writev2.TimeSeries{LabelsRefs: refs("__name__", "odd_bits", "by", "2.0")}
	bits1 := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "odd_bits"}, {Name: "by", Value: "1.0"}}}
	for i := range oddBits {
		bits.Samples = append(bits.Samples, writev2.Sample{Value: math.Float64frombits(mark), Timestamp: h.at(int64(i))})
		bits1.Samples = append(bits1.Samples, prompb.Sample{Value: math.Float64frombits(mark), Timestamp: h.at(int64(i))})
	}
	req.Timeseries, req.Symbols = append(req.Timeseries, bits), symbols.Symbols()
	h.accepted(putBits(h.marshal(&req), mark), typeV2, strconv.Itoa(3+len(oddBits)+3*len(oddStrings)-2)+" 3 1")
	h.accepted(putBits(h.marshal(&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{bits1}}), mark), typeV1, "  ")
	h.accepted(h.marshal(&prompb.WriteRequest{Metadata: []prompb.MetricMetadata{ // as Prometheus sends every minute
		{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "rw1_only_metadata_total", Help: oddStrings[1], Unit: "s"}}}), typeV1, "  ")
}

// putBits replaces the marks in a message by oddBits, one after the other.
func putBits(msg []byte, mark uint64) []byte {
	for _, b := range oddBits {
		msg = bytes.Replace(msg, wire.LittleEndian.AppendUint64(nil, mark), wire.LittleEndian.AppendUint64(nil, b), 1)
	}
	return msg
}

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

func (h hostile) marshal(m interface{ Marshal() ([]byte, error) }) []byte {
	h.t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

// accepted writes a message and checks the answer; written is what the three -Written headers say.
func (h hostile) accepted(raw []byte, contentType, written string) {
	h.t.Helper()
	h.write(raw, contentType, http.StatusNoContent, "", written)
}

// write sends a message that is not yet compressed.
func (h hostile) write(raw []byte, contentType string, status int, text, written string) {
	h.t.Helper()
	resp, body := h.do("POST", "/api/v1/write", snappy.Encode(nil, raw), map[string]string{"Content-Type": contentType, "Content-Encoding": "snappy"})
	var got []string
	for _, kind := range []string{"Samples", "Histograms", "Exemplars"} {
		got = append(got, resp.Header.Get("X-Prometheus-Remote-Write-"+kind+"-Written"))
	}
	if resp.StatusCode != status || !strings.Contains(body, text) || strings.Join(got, " ") != written {
		h.t.Errorf("write answered %d %q, written %q; want %d %q, %q", resp.StatusCode, body, got, status, text, written)
	}
}

func (h hostile) do(method, path string, body []byte, headers map[string]string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range headers {
		r.Header[k] = []string{v}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatalf("%s %.200s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(text)
}

func (h hostile) send(method, path string, body []byte, headers map[string]string) (int, string) {
	h.t.Helper()
	resp, text := h.do(method, path, body, headers)
	return resp.StatusCode, text
}

// verifyOdd reads back all that writeOdd wrote.
func (h hostile) verifyOdd() {
	h.t.Helper()
	eventually(h.t, time.Minute, "odd series", func() error { return count(h.url, "odd_values", h.at(0), len(oddStrings)) })
	h.verifyStrings()
	h.verifyExtras()
	for _, types := range [][]prompb.ReadRequest_ResponseType{{prompb.ReadRequest_STREAMED_XOR_CHUNKS}, {prompb.ReadRequest_SAMPLES}} {
		h.verifyRemoteRead(types)
	}
}

func (h hostile) verifyStrings() {
	h.t.Helper()
	check := func(expr string, want int) {
		h.t.Helper()
		form := url.Values{"query": {expr}, "time": {seconds(float64(h.at(0)) / 1000)}}
		status, body := h.send("POST", "/api/v1/query", []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil || len(answer.Data.Result) != want {
			h.t.Errorf("%.200s: %d series, want %d: %d %.300s", expr, len(answer.Data.Result), want, status, body)
		}
	}
	for _, s := range oddStrings {
		quoted := strconv.QuoteToASCII(s)
		check(`odd_values{v=`+quoted+`}`, 1)
		check(`odd_values{v!=`+quoted+`}`, len(oddStrings)-1)
		check(`odd_values{v=~`+strconv.QuoteToASCII(regexp.QuoteMeta(s)+"|nothing")+`}`, 1)
		check(`odd_values{v!~`+strconv.QuoteToASCII(regexp.QuoteMeta(s))+`}`, len(oddStrings)-1)
		if len(s) > 1024 {
			continue
		}
		check(`odd_names{`+quoted+`="x"}`, 1)
		check(`odd_names{`+quoted+`=""}`, len(oddStrings)-2)
		check(`{`+quoted+`}`, 1)
		var values []string
		if err := ask(h.url, "/api/v1/label/"+url.PathEscape(s)+"/values", nil, &values); err != nil || !slices.Equal(values, []string{"x"}) {
			h.t.Errorf("values of the label %q: %q, %v", s, values, err)
		}
	}
	want := slices.Sorted(slices.Values(oddStrings))
	var values []string
	if err := ask(h.url, "/api/v1/label/v/values", url.Values{"match[]": {"odd_values"}}, &values); err != nil || !slices.Equal(values, want) {
		h.t.Errorf("label values %q, %v", values, err)
	}
	var found []map[string]string
	if err := ask(h.url, "/api/v1/series", url.Values{"match[]": {"odd_values"}}, &found); err != nil || len(found) != len(want) {
		h.t.Errorf("%d series, %v", len(found), err)
	}
	for _, s := range found {
		if !slices.Contains(want, s["v"]) {
			h.t.Errorf("series %q was not sent", s)
		}
	}
}

// verifyExtras asks the API for what is no float: histograms, exemplars, metadata, start timestamps.
func (h hostile) verifyExtras() {
	h.t.Helper()
	for _, c := range []struct{ expr, want string }{
		{`rw2_int`, `{"count":"9","sum":"2.5","buckets":[[1,"-1.0905077326652577","-1","1"],[3,"-0.001","0.001","1"],[0,"0.7711054127039704","0.8408964152537144","2"],[0,"0.8408964152537144","0.9170040432046711","3"],[0,"1.189207115002721","1.2968395546510096","2"]]}`},
		{`rw2_float`, `{"count":"3.75","sum":"-1.5","buckets":[[3,"-0.5","0.5","0.25"],[0,"1","4","2.25"],[0,"4","16","1.25"]]}`},
		{`rw2_custom`, `{"count":"6","sum":"9.5","buckets":[[3,"-Inf","0.5","1"],[0,"0.5","2.5","2"],[0,"2.5","+Inf","3"]]}`},
		{`irate(rw2_total[1m])`, strconv.FormatFloat(7.0/15, 'g', -1, 64)}, // 7/15 only where the start says that 7 began anew
		{`odd_bits{by="2.0"}`, ""}, // stale
		{`odd_bits{by="1.0"} offset 10s`, strconv.FormatFloat(0.1+0.2, 'f', -1, 64)},
		{`odd_bits{by="1.0"} offset 20s`, "-0"},
	} {
		a, err := instant(h.url, c.expr, float64(h.at(20))/1000)
		got := ""
		if len(a.series) == 1 {
			got = a.series[0].points[0].value
		}
		if err != nil || got != c.want {
			h.t.Errorf("%s: got %q (%d series, %v), want %q", c.expr, got, len(a.series), err, c.want)
		}
	}
	var exemplars []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	err := ask(h.url, "/api/v1/query_exemplars", url.Values{"query": {"rw2_total"}, "start": {seconds(float64(h.at(0)) / 1000)}, "end": {seconds(float64(h.at(20)) / 1000)}}, &exemplars)
	if err != nil || len(exemplars) != 1 || len(exemplars[0].Exemplars) != 1 || exemplars[0].Exemplars[0].Labels["trace_id"] != oddStrings[0] || exemplars[0].Exemplars[0].Labels["nul\x00"] != "\x00" {
		h.t.Errorf("exemplars: %q, %v", exemplars, err)
	}
	// Types are what senders said, never what a name looks like.
	var metadata map[string][]struct{ Type, Help, Unit string }
	err = ask(h.url, "/api/v1/metadata", nil, &metadata)
	if got := fmt.Sprintf("%q %v", metadata, err); got != fmt.Sprintf(`map["rw1_only_metadata_total":[{"gauge" %q "s"}] "rw2_total":[{"counter" %q "it's"}]] <nil>`, oddStrings[1], oddStrings[0]+"\x00") {
		h.t.Errorf("metadata: %s", got)
	}
}

// verifyRemoteRead reads with Prometheus' own client and compares bits.
func (h hostile) verifyRemoteRead(types []prompb.ReadRequest_ResponseType) {
	h.t.Helper()
	u, err := url.Parse(h.url + "/api/v1/read")
	if err != nil {
		h.t.Fatal(err)
	}
	client, err := remote.NewReadClient("hostile", &remote.ClientConfig{URL: &configutil.URL{URL: u}, Timeout: model.Duration(time.Minute), ChunkedReadLimit: 5e7, AcceptedResponseTypes: types})
	if err != nil {
		h.t.Fatal(err)
	}
	query, err := remote.ToQuery(h.at(-60), h.at(60), []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "odd_bits|rw2_.*")}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	set, err := client.Read(h.t.Context(), query, true)
	if err != nil {
		h.t.Fatal(err)
	}
	want := map[string][]string{
		`{__name__="rw2_total", a="b"}`: {floatText(h.at(0), 5), floatText(h.at(15), 7)},
		`{__name__="rw2_int"}`:          {histogramText(h.at(0), intHistogram.ToFloat(nil))},
		`{__name__="rw2_float"}`:        {histogramText(h.at(0), floatHistogram)},
		`{__name__="rw2_custom"}`:       {histogramText(h.at(0), customHistogram.ToFloat(nil))},
	}
	for i, b := range oddBits {
		for _, by := range []string{"1.0", "2.0"} {
			name := `{__name__="odd_bits", by="` + by + `"}`
			want[name] = append(want[name], floatText(h.at(int64(i)), math.Float64frombits(b)))
		}
	}
	got := map[string][]string{}
	for set.Next() {
		s := set.At()
		it := s.Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			var text string
			if v == chunkenc.ValFloat {
				text = floatText(it.At())
			} else {
				text = histogramText(it.AtFloatHistogram(nil))
			}
			got[s.Labels().String()] = append(got[s.Labels().String()], text)
		}
	}
	if err := set.Err(); err != nil {
		h.t.Fatal(err)
	}
	for name, points := range want {
		if !slices.Equal(got[name], points) {
			h.t.Errorf("%v: %s: got\n%q, want\n%q", types, name, got[name], points)
		}
	}
	if len(got) != len(want) {
		h.t.Errorf("%v: %d series, want %d", types, len(got), len(want))
	}
}

func floatText(ms int64, v float64) string { return fmt.Sprintf("%d %016x", ms, math.Float64bits(v)) }

func histogramText(ms int64, f *histogram.FloatHistogram) string {
	return fmt.Sprintf("%d gauge=%t %s", ms, f.CounterResetHint == histogram.GaugeType, f)
}

// refusedWrites sends what must be refused with the status that makes senders do the right thing, and checks that
// the valid part of a request is stored.
func (h hostile) refusedWrites() {
	h.t.Helper()
	now := time.Now().UnixMilli()
	sample := func(ms int64, nameValues ...string) prompb.TimeSeries {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: 1, Timestamp: ms}}}
		for i := 0; i < len(nameValues); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: nameValues[i], Value: nameValues[i+1]})
		}
		return ts
	}
	many := []string{"__name__", "refused"}
	for i := range 65 {
		many = append(many, "label"+strconv.Itoa(i), "x")
	}
	for what, refused := range map[string]prompb.TimeSeries{
		"missing_metric_name": sample(now, "a", "b"), "too_far_in_future": sample(now+time.Hour.Milliseconds(), "__name__", "refused"),
		"duplicate_label_name": sample(now, "__name__", "refused", "a", "b", "a", "c"), "invalid_labels": sample(now, "__name__", "refused", "a", "\xff"),
		"label_too_long": sample(now, "__name__", "refused", "a", strings.Repeat("x", 4097)), "too_many_labels": sample(now, many...),
	} {
		good := sample(h.at(0), "__name__", "beside_refused", "what", what)
		raw := h.marshal(&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{refused, good}})
		h.write(raw, typeV1, http.StatusBadRequest, what, "  ")
	}
	eventually(h.t, time.Minute, "what was sent beside refused series", func() error { return count(h.url, "beside_refused", h.at(0), 6) })
	if err := count(h.url, "refused", now, 0); err != nil {
		h.t.Error(err)
	}

	symbols := []string{"", "__name__", "beside_refused", "what", "2.0"}
	good := writev2.TimeSeries{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Value: 1, Timestamp: h.at(0)}}}
	for text, bad := range map[string]writev2.TimeSeries{
		"empty_series":       {LabelsRefs: []uint32{1, 2}},
		"invalid_symbol_ref": {LabelsRefs: []uint32{1, 99}, Samples: good.Samples},
		"invalid_histogram":  {LabelsRefs: []uint32{1, 2}, Histograms: []writev2.Histogram{{Timestamp: h.at(0), Schema: 99, Count: &writev2.Histogram_CountInt{CountInt: 1}}}},
	} {
		h.write(h.marshal(&writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{bad, good}}), typeV2, http.StatusBadRequest, text, "1 0 0")
	}
	whole := h.marshal(&writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{good}})
	h.write(whole[:len(whole)-3], typeV2, http.StatusBadRequest, "", "0 0 0")
	h.write(bytes.Repeat([]byte{0x0a, 0}, 5<<20), typeV1, http.StatusBadRequest, "more than", "  ") // five million empty series
	h.write(make([]byte, 30<<20), typeV1, http.StatusBadRequest, "", "  ")                          // compresses to next to nothing
	h.write([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, typeV1, http.StatusBadRequest, "", "  ")

	packed := snappy.Encode(nil, whole)
	framed := bytes.NewBuffer(nil)
	frames := snappy.NewBufferedWriter(framed)
	if _, err := frames.Write(whole); err != nil || frames.Close() != nil {
		h.t.Fatal("cannot frame")
	}
	type headers = map[string]string
	for _, c := range []struct {
		method, path string
		headers      headers
		body         []byte
		status       int
	}{
		{"POST", "/api/v1/write", nil, nil, 400},
		{"POST", "/api/v1/write", nil, []byte("hello"), 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2}, whole, 400}, // not compressed
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2}, framed.Bytes(), 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV1}, packed, 400}, // the other message
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2}, packed[:len(packed)-1], 400},
		{"POST", "/api/v1/write", nil, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, 400},                                     // says that it is 4 GiB
		{"POST", "/api/v1/write", nil, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, 400}, // 2^77
		{"POST", "/api/v1/write", nil, make([]byte, 32<<20+1), 413},
		{"POST", "/api/v1/write", headers{"Content-Type": "application/json"}, []byte("{"), 415},
		{"POST", "/api/v1/push", headers{"Content-Type": "text/plain"}, packed, 415},
		{"POST", "/api/v1/receive", headers{"Content-Type": typeV1 + ";proto=io.prometheus.write.v9.Request"}, packed, 415},
		{"POST", "/prometheus/api/v1/write", headers{"Content-Type": ";;;"}, packed, 415},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "Content-Encoding": "gzip"}, packed, 415},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "Content-Encoding": "zstd"}, packed, 415},
		{"GET", "/api/v1/write", nil, nil, 405},
		{"PUT", "/api/v1/write", headers{"Content-Type": typeV2}, packed, 405},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Scope-OrgID": "../a"}, packed, 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Scope-OrgID": "a|b"}, packed, 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Scope-OrgID": strings.Repeat("a", 151)}, packed, 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Scope-OrgID": "' OR 1=1"}, packed, 400},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Prometheus-Remote-Write-Version": "9.9"}, packed, 204},
		{"POST", "/api/v1/write", headers{"Content-Type": typeV2, "X-Scope-OrgID": "it's"}, packed, 204},
	} {
		if status, body := h.send(c.method, c.path, c.body, c.headers); status != c.status || status != 204 && body == "" {
			h.t.Errorf("%s %s %v: %d %q, want %d", c.method, c.path, c.headers, status, body, c.status)
		}
	}
}

// refusedReads asks for what cannot be answered. The answer has to be in the form that Grafana shows.
func (h hostile) refusedReads() {
	h.t.Helper()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	for _, c := range []struct {
		path   string
		params url.Values
		status int
	}{
		{"query", url.Values{}, 400},
		{"query", url.Values{"query": {"up{"}}, 400},
		{"query", url.Values{"query": {"{}"}}, 400},
		{"query", url.Values{"query": {`{a=~".*"}`}}, 400},
		{"query", url.Values{"query": {`up{a=~"("}`}}, 400},
		{"query", url.Values{"query": {`up{a=~"(?=x)"}`}}, 400},
		{"query", url.Values{"query": {`up{a=~"((x{1000}){1000}){1000}"}`}}, 400},
		{"query", url.Values{"query": {`up{a=~"` + strings.Repeat(".{0,1000}", 200) + `"}`}}, 400}, // too large for RE2, though not for Go
		{"query", url.Values{"query": {"\xff\x00"}}, 400},
		{"query", url.Values{"query": {"rate(up)"}}, 400},
		{"query", url.Values{"query": {"up offset 99999999999y"}}, 400},
		{"query", url.Values{"query": {"up @ 1e300"}}, 400},
		{"query", url.Values{"query": {strings.Repeat("(", 40_000) + "1" + strings.Repeat(")", 40_000)}}, 400},
		{"query", url.Values{"query": {strings.Repeat("-", 90_000) + "up"}}, 400},
		{"query", url.Values{"query": {strings.Repeat("1+", 500_000) + "1"}}, 400},
		{"query", url.Values{"query": {strings.Repeat("1", 11<<20)}}, 400}, // more than a form may have
		{"query", url.Values{"query": {"label_replace(odd_values, \"v\", \"\", \"v\", \".*\")"}, "time": {seconds(float64(h.at(0)) / 1000)}}, 422},
		{"query", url.Values{"query": {"1"}, "time": {"yesterday"}}, 400},
		{"query", url.Values{"query": {"1"}, "time": {"NaN"}}, 400},
		{"query", url.Values{"query": {"1"}, "time": {"2026-13-45T00:00:00Z"}}, 400},
		{"query", url.Values{"query": {"1"}, "timeout": {"-1"}}, 400},
		{"query", url.Values{"query": {"1"}, "timeout": {"soon"}}, 400},
		{"query", url.Values{"query": {"1"}, "limit": {"-1"}}, 400},
		{"query", url.Values{"query": {"1"}, "limit": {"99999999999999999999"}}, 400},
		{"query", url.Values{"query": {"1"}, "lookback_delta": {"x"}}, 400},
		{"query", url.Values{"query": {"odd_values"}, "time": {"9e300"}}, 200},
		{"query", url.Values{"query": {"odd_values"}, "time": {"-Inf"}}, 200},
		{"query", url.Values{"query": {`{__name__="x' OR 1=1 --"}`}}, 200},
		{"query_range", url.Values{"query": {"1"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {"0"}, "end": {now}, "step": {"1"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {"-9e300"}, "end": {"9e300"}, "step": {"1y"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {now}, "end": {"0"}, "step": {"1"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {now}, "end": {now}, "step": {"0"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {now}, "end": {now}, "step": {"NaN"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {now}, "end": {now}, "step": {"1e-9"}}, 400},
		{"query_range", url.Values{"query": {"1"}, "start": {now}, "end": {now}, "step": {"-1m"}}, 400},
		{"query_exemplars", url.Values{"query": {"up{"}}, 400},
		{"query_exemplars", url.Values{"query": {"up"}, "start": {"1790000000000"}, "end": {"1790000060000"}}, 200}, // Grafana's probe, in ms
		{"series", url.Values{}, 400},
		{"series", url.Values{"match[]": {"{}"}}, 400},
		{"series", url.Values{"match[]": {"up", `{a!="b"}`}}, 400},
		{"series", url.Values{"match[]": {"sum(up)"}}, 400},
		{"series", url.Values{"match[]": {"up"}, "start": {"x"}}, 400},
		{"series", url.Values{"match[]": {"up"}, "limit": {"x"}}, 400},
		{"labels", url.Values{"match[]": {`{a=""}`}}, 400},
		{"labels", url.Values{"end": {"x"}}, 400},
		{"format_query", url.Values{"query": {"up{"}}, 400},
		{"parse_query", url.Values{"query": {"up{"}}, 400},
	} {
		h.refused("POST", c.path, c.params, nil, c.status)
		if len(c.params.Encode()) < 8000 {
			h.refused("GET", c.path+"?"+c.params.Encode(), nil, nil, c.status)
		}
	}
	for path, status := range map[string]int{
		"query?query=%zz": 400, "label/%ff/values": 400, "label/v/values?match[]={": 400, "label/v/values?start=x": 400, "status/tsdb?limit=0": 400,
		"status/tsdb?limit=10001": 400, "metadata?limit=x": 400, "nothing": 404, "label//values": 404, "query/..%2f..%2fetc%2fpasswd": 404,
	} {
		h.refused("GET", path, nil, nil, status)
	}
	h.refused("DELETE", "query?query=1", nil, nil, 405)
	h.refused("PUT", "query?query=1", nil, nil, 405)
	h.refused("POST", "label/v/values", nil, nil, 405)
	for _, tenant := range []string{"..", "a/b", "a||b", "a|..", strings.Repeat("t|", 40) + strings.Repeat("x", 151), "' OR 1=1 --", strings.Repeat("x", 151)} {
		h.refused("GET", "query?query=1", nil, map[string]string{"X-Scope-OrgID": tenant}, 400)
		h.refused("GET", "labels", nil, map[string]string{"X-Scope-OrgID": tenant}, 400)
	}
	for _, body := range [][]byte{nil, []byte("nonsense"), {0xff, 0xff, 0xff, 0xff, 0x0f, 0}, snappy.Encode(nil, []byte("nonsense")), snappy.Encode(nil, make([]byte, 1<<20)), make([]byte, 32<<20+1)} {
		if status, text := h.send("POST", "/api/v1/read", body, nil); status != 400 && !(body == nil && status == 200) {
			h.t.Errorf("remote read of %d bytes: %d %q", len(body), status, text)
		}
	}
	if status, text := h.send("GET", "/federate?match[]={", nil, nil); status != 400 {
		h.t.Errorf("federate: %d %q", status, text)
	}
}

// refused calls an endpoint of the API and checks the status and the envelope of the answer.
func (h hostile) refused(method, path string, form url.Values, headers map[string]string, status int) {
	h.t.Helper()
	all := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for k, v := range headers {
		all[k] = v
	}
	got, body := h.send(method, "/api/v1/"+path, []byte(form.Encode()), all)
	var envelope struct{ Status, ErrorType, Error string }
	err := json.Unmarshal([]byte(body), &envelope)
	failed := envelope.Status == "error" && envelope.ErrorType != "" && envelope.Error != ""
	if got != status || err != nil || failed != (status >= 400) {
		h.t.Errorf("%s %.200s %.200s: got %d %.300s, want %d", method, path, form.Encode(), got, body, status)
	}
}

// brokenConnections talks no proper HTTP.
func (h hostile) brokenConnections() {
	h.t.Helper()
	address := strings.TrimPrefix(h.url, "http://")
	for _, text := range []string{
		"", "\x00\x01\x02\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /api/v1/query?query=\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nshort",
		"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\nshort",
		"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx",
		"GET /-/ready HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			h.t.Fatal(err)
		}
		_, _ = conn.Write([]byte(text)) // the other side may already have hung up
		conn.Close()
	}
}
