package chaos

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// lagRecords and lagSeconds are the metrics of a consumer that say how far it is behind, a series for each of its
// partitions.
const (
	lagRecords = "metricstream_consumer_lag_records"
	lagSeconds = "metricstream_consumer_lag_seconds"
)

// probe is a request that writes a sample of some series of its own, so many that each partition has one, said to be the
// sender's n-th attempt.
func probe(t *testing.T, receiver string, attempt int) *http.Request {
	t.Helper()
	var req prompb.WriteRequest
	for i := range 8 * partitions {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  []prompb.Label{{Name: "__name__", Value: "probe"}, {Name: "i", Value: strconv.Itoa(i)}},
			Samples: []prompb.Sample{{Value: 1, Timestamp: time.Now().UnixMilli()}},
		})
	}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, receiver+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Retry-Attempt", strconv.Itoa(attempt))
	return r
}
