package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/metricstream/metricstream/promql/api"
)

func TestFederate(t *testing.T) {
	server := serveAPI(t, loaded(t, `
load 1m
  up{job="api", instance="a"}  0 1 2 3 4 5 6 7
  up{job="old"}                1 _ _ _ _ _ _ _
  up{job="gone"}               1 1 1 1 stale _ _ _
  latency{job="n"}             {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x7
  latency{job="c"}             {{schema:-53 sum:5 count:3 custom_values:[5 7 10] buckets:[1 0 2]}}x7
  {"utf 8"}                    7x7
`), func(o *api.Options) { o.Now = func() time.Time { return time.Unix(390, 0) } })

	resp, got := send(t, server, "GET", `/federate?match[]=up&match[]={__name__!=""}`, "", nil)
	if want := `# TYPE latency histogram
latency_bucket{job="c",instance="",le="5.0"} 1 360000
latency_bucket{job="c",instance="",le="7.0"} 1 360000
latency_bucket{job="c",instance="",le="10.0"} 3 360000
latency_bucket{job="c",instance="",le="+Inf"} 3 360000
latency_sum{job="c",instance=""} 5 360000
latency_count{job="c",instance=""} 3 360000
# TYPE up untyped
up{instance="a",job="api"} 6 360000
# TYPE utf_8 untyped
utf_8{instance=""} 7 360000
`; resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") || strings.ReplaceAll(got, ".0\"", "\"") != strings.ReplaceAll(want, ".0\"", "\"") {
		t.Errorf("got %d %v\n%s", resp.StatusCode, resp.Header, got)
	}

	accept := http.Header{"Accept": {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"}}
	resp, got = send(t, server, "GET", "/prometheus/federate?match[]=latency", "", accept)
	dec := expfmt.NewDecoder(strings.NewReader(got), expfmt.ResponseFormat(resp.Header))
	var families []*dto.MetricFamily
	for {
		var f dto.MetricFamily
		if dec.Decode(&f) != nil {
			break
		}
		families = append(families, &f)
	}
	if len(families) != 1 || len(families[0].Metric) != 2 {
		t.Fatalf("families: %v", families)
	}
	if h := families[0].Metric[1].GetHistogram(); h.GetSampleCountFloat() != 4 || len(h.GetPositiveCount()) != 3 || h.GetPositiveSpan()[0].GetLength() != 3 {
		t.Errorf("native histogram: %v", h)
	}

	for _, bad := range []string{"/federate?match[]={", "/federate?match[]=up{"} {
		if resp, body := send(t, server, "GET", bad, "", nil); resp.StatusCode != 400 {
			t.Errorf("%s: got %d %s", bad, resp.StatusCode, body)
		}
	}
	if resp, body := send(t, server, "GET", "/federate", "", nil); resp.StatusCode != 200 || body != "" {
		t.Errorf("without match[]: got %d %s", resp.StatusCode, body)
	}
}
