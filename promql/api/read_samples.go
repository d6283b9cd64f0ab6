package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// readSamples answers with one prometheus.ReadResponse. It is encoded here, by hand, because the generated
// encoder leaves out values that compare equal to zero and so loses the sign of -0.
func (a *API) readSamples(ctx context.Context, w http.ResponseWriter, r *http.Request, req *prompb.ReadRequest) {
	var resp []byte
	res := resultEncoder{most: a.reading(ctx)}
	for _, q := range req.Queries {
		if err := a.selectQuery(ctx, q, res.encode); err != nil {
			a.readError(w, r, err)
			return
		}
		resp = appendBytesField(resp, fieldResults, res.out)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Encoding", "snappy")
	if _, err := w.Write(snappy.Encode(nil, resp)); err != nil {
		a.Logger.DebugContext(r.Context(), "cannot write a response", "path", r.URL.Path, "err", err)
	}
}

// Field numbers of prometheus.ReadResponse, QueryResult, TimeSeries, Label, Sample and Histogram.
const (
	fieldResults            = 1
	fieldTimeSeries         = 1
	fieldSeriesLabels       = 1
	fieldSeriesSamples      = 2
	fieldSeriesHistograms   = 4
	fieldLabelName          = 1
	fieldLabelValue         = 2
	fieldSampleValue        = 1
	fieldSampleTimestamp    = 2
	fieldHistogramTimestamp = 15

	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

// resultEncoder makes one prometheus.QueryResult after another and counts the samples of all.
type resultEncoder struct {
	out, series, item []byte
	samples           int64
	most              limits.Reading
}

// encode leaves the result of a query in out.
func (e *resultEncoder) encode(set storage.SeriesSet) error {
	e.out = e.out[:0]
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		it = s.Iterator(it)
		e.series = e.series[:0]
		s.Labels().Range(func(l labels.Label) {
			e.item = appendStringField(e.item[:0], fieldLabelName, l.Name)
			e.item = appendStringField(e.item, fieldLabelValue, l.Value)
			e.series = appendBytesField(e.series, fieldSeriesLabels, e.item)
		})
		for t := it.Next(); t != chunkenc.ValNone; t = it.Next() {
			if e.samples++; e.most.Samples.Most > 0 && e.samples > e.most.Samples.Most {
				return e.most.TooManySamples()
			}
			if err := e.point(it, t); err != nil {
				return err
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		e.out = appendBytesField(e.out, fieldTimeSeries, e.series)
	}
	return nil
}

func (e *resultEncoder) point(it chunkenc.Iterator, t chunkenc.ValueType) error {
	switch t {
	case chunkenc.ValFloat:
		ts, v := it.At()
		e.item = binary.AppendUvarint(e.item[:0], fieldSampleValue<<3|wireFixed64)
		e.item = binary.LittleEndian.AppendUint64(e.item, math.Float64bits(v))
		e.item = appendVarintField(e.item, fieldSampleTimestamp, ts)
		e.series = appendBytesField(e.series, fieldSeriesSamples, e.item)
	case chunkenc.ValHistogram:
		ts, h := it.AtHistogram(nil)
		e.item = appendVarintField(store.AppendHistogram(e.item[:0], h), fieldHistogramTimestamp, ts)
		e.series = appendBytesField(e.series, fieldSeriesHistograms, e.item)
	case chunkenc.ValFloatHistogram:
		ts, h := it.AtFloatHistogram(nil)
		e.item = appendVarintField(store.AppendFloatHistogram(e.item[:0], h), fieldHistogramTimestamp, ts)
		e.series = appendBytesField(e.series, fieldSeriesHistograms, e.item)
	default:
		return &apiError{internal, fmt.Errorf("unrecognized value type: %s", t)}
	}
	return nil
}

func appendVarintField(dst []byte, field uint64, v int64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, field<<3|wireVarint), uint64(v))
}

func appendBytesField(dst []byte, field uint64, b []byte) []byte {
	dst = binary.AppendUvarint(dst, field<<3|wireBytes)
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendStringField(dst []byte, field uint64, s string) []byte {
	dst = binary.AppendUvarint(dst, field<<3|wireBytes)
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
