package codec

import (
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// marshal is for messages without a -0, which the generated types lose.
func marshal(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func requestV1(t testing.TB, series ...prompb.TimeSeries) []byte {
	return marshal(t, &prompb.WriteRequest{Timeseries: series})
}

func labelsV1(nameValues ...string) []prompb.Label {
	var ls []prompb.Label
	for i := 0; i < len(nameValues); i += 2 {
		ls = append(ls, prompb.Label{Name: nameValues[i], Value: nameValues[i+1]})
	}
	return ls
}

func floatV1(ms int64, v float64, nameValues ...string) prompb.TimeSeries {
	return prompb.TimeSeries{Labels: labelsV1(nameValues...), Samples: []prompb.Sample{{Timestamp: ms, Value: v}}}
}

// builderV2 makes requests of 2.0.
type builderV2 struct {
	req     writev2.Request
	symbols writev2.SymbolsTable
}

func newBuilderV2() *builderV2 { return &builderV2{symbols: writev2.NewSymbolTable()} }

func (b *builderV2) refs(nameValues ...string) []uint32 {
	var refs []uint32
	for _, s := range nameValues {
		refs = append(refs, b.symbols.Symbolize(s))
	}
	return refs
}

func (b *builderV2) add(ts writev2.TimeSeries, nameValues ...string) *builderV2 {
	ts.LabelsRefs = b.refs(nameValues...)
	b.req.Timeseries = append(b.req.Timeseries, ts)
	return b
}

func (b *builderV2) bytes(t testing.TB) []byte {
	b.req.Symbols = b.symbols.Symbols()
	return marshal(t, &b.req)
}

func decode(t testing.TB, d *Decoder, v Version, body []byte) *Request {
	t.Helper()
	var r Request
	if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
		t.Fatal(err)
	}
	return &r
}
