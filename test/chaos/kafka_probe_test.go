package chaos

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// lagRecords and lagSeconds are the metrics of a consumer that say how far it is behind, a series for each of its
// partitions.
const (
	lagRecords = "metricstream_consumer_lag_records"
	lagSeconds = "metricstream_consumer_lag_seconds"
)

// oneSample is a request of one sample of a series of its own.
func oneSample(t *testing.T) []byte {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "probe"}},
		Samples: []prompb.Sample{{Value: 1, Timestamp: time.Now().UnixMilli()}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
