package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// TestDownsampling writes some hours of samples: they are folded while the process runs, and again where late ones come;
// the command finds that the tables are right, and folds hours again.
func TestDownsampling(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	const hour = 3_600_000
	end := time.Now().UnixMilli()/hour*hour - 2*hour
	write := func(name string) {
		t.Helper()
		for at := end - 3*hour + 1000; at < end; at += 600_000 {
			if code := postSamples(n.url, "", at, float64(at/600_000%97), 3, map[string]string{"__name__": name}); code != http.StatusNoContent {
				t.Fatalf("write answered %d", code)
			}
		}
	}
	folded := func(kind string) {
		t.Helper()
		eventually(t, 3*time.Minute, "hours are folded: "+kind, func() error {
			body, err := getAs(n.url+"/metrics", "")
			if err != nil {
				return err
			}
			for _, want := range []string{"metricstream_rollup_owner 1\n", "metricstream_rollup_marks 0\n", `metricstream_rollup_hours_total{fold="` + kind + `"}`} {
				if err := contains(body, want); err != nil {
					return fmt.Errorf("there is no %s", strings.TrimSpace(want))
				}
			}
			return nil
		})
	}
	writeKinds(t, n, end)
	write("rolled_up")
	folded("first")
	sameByHours(t, n.url, end)
	write("late")
	folded("again")
	// A second later the window is without the first sample of each series, which stands where it is open.
	for path, want := range map[string][]string{
		fmt.Sprintf("/api/v1/query?query=sum(count_over_time(late[3h]))&time=%d&explain=1", end/1000):   {`"54"]`, `"tier":"1h"`},
		fmt.Sprintf("/api/v1/query?query=sum(count_over_time(late[3h]))&time=%d&explain=1", end/1000+1): {`"51"]`, `"tier":"`},
		"/metrics":                 {`metricstream_tiers_oldest_timestamp_seconds{tenant="anonymous",tier="1h"} `, `tenant="anonymous",tier="raw"} `},
		"/api/v1/status/retention": {`"tier":"1h","keep":"1y","spans":[{"from":`, `"tier":"raw","keep":"1w"`},
	} {
		eventually(t, time.Minute, path, func() error {
			body, err := getAs(n.url+path, "")
			if err != nil {
				return err
			}
			for _, one := range want {
				if err := contains(body, one); err != nil {
					return err
				}
			}
			return nil
		})
	}
	span := []string{"rollup", "--storage.path=" + data, "--from=" + time.UnixMilli(end-3*hour).UTC().Format(time.RFC3339), "--to=" + time.UnixMilli(end).UTC().Format(time.RFC3339)}
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	command(t, true, append(span, "--verify"), "3 hours compared", "0 differences")
	command(t, true, span, "3 hours folded")
	command(t, true, append(span, "--verify"), "3 hours compared", "0 differences")
	command(t, false, []string{"rollup", "--storage.path=" + data, "--from=yesterday"}, "--from")
}

// writeKinds writes three hours of counters, which start anew in the middle, of gauges, and of native histograms of both kinds.
// All values are sums of powers of two, so that it does not matter in which order they are added.
func writeKinds(t *testing.T, n *node, endMs int64) {
	t.Helper()
	named := func(name string, k int) []prompb.Label {
		return []prompb.Label{{Name: "__name__", Value: name}, {Name: "k", Value: fmt.Sprint(k)}}
	}
	req := &prompb.WriteRequest{}
	for k := range 3 {
		counter, gauge := prompb.TimeSeries{Labels: named("kinds_total", k)}, prompb.TimeSeries{Labels: named("kinds", k)}
		counters, gauges := prompb.TimeSeries{Labels: named("kinds_seconds", k)}, prompb.TimeSeries{Labels: named("kinds_gauge_seconds", k)}
		for i := range 180 {
			ms := endMs - int64(180-i)*60_000 + 1000
			counted := float64(i%100 + k + 1)
			counter.Samples = append(counter.Samples, prompb.Sample{Timestamp: ms, Value: 0.25 * counted * counted})
			gauge.Samples = append(gauge.Samples, prompb.Sample{Timestamp: ms, Value: float64((i*37+k)%101) - 50.5})
			counters.Histograms = append(counters.Histograms, prompb.FromFloatHistogram(ms, intHistogram.ToFloat(nil).Mul(counted)))
			gauges.Histograms = append(gauges.Histograms, prompb.FromFloatHistogram(ms, floatHistogram.Copy().Mul(float64((i*37+k)%101))))
		}
		req.Timeseries = append(req.Timeseries, counter, gauge, counters, gauges)
	}
	if got := (&ingest{limited: limited{node: n}}).push(t, "", "", req); got.code != http.StatusNoContent {
		t.Fatalf("%+v", got)
	}
}

// sameByHours asks for the same of rows of hours and of raw samples, which have to give the same answers.
func sameByHours(t *testing.T, server string, endMs int64) {
	t.Helper()
	exprs := []string{
		"sum by (k) (rate(kinds_seconds[1h]))", "histogram_quantile(0.9, sum(increase(kinds_seconds[2h])))", "histogram_fraction(0, 1, rate(kinds_seconds[1h]))",
		"sum_over_time(kinds_gauge_seconds[1h])", "histogram_sum(avg_over_time(kinds_gauge_seconds[1h]))", "last_over_time(kinds_gauge_seconds[2h])", "resets(kinds_seconds[2h])", "count_over_time(kinds_seconds[1h])",
	}
	for _, f := range []string{"rate", "increase", "resets", "changes", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "stddev_over_time", "last_over_time", "first_over_time", "delta"} {
		exprs = append(exprs, f+"(kinds_total[1h])", "max("+f+"(kinds[2h]))")
	}
	at := func(ms int64) []string { return []string{seconds(float64(ms) / 1000)} }
	for _, expr := range exprs {
		for path, params := range map[string]url.Values{
			"/api/v1/query":       {"query": {expr}, "time": at(endMs)},
			"/api/v1/query_range": {"query": {expr}, "start": at(endMs - 3_600_000), "end": at(endMs), "step": {"1h"}},
		} {
			raw, err := query(server, path, params, "X-MetricStream-Resolution", "raw")
			if err != nil || len(raw.series) == 0 || len(raw.series[0].points) == 0 {
				t.Errorf("%s: %v: %v", expr, raw, err)
			}
			hours, err := query(server, path, params, "X-MetricStream-Resolution", "1h")
			if err != nil {
				t.Errorf("%s: %v", expr, err)
			} else if d := difference(hours, raw); d != "" {
				t.Errorf("%s of %s by hours: %s", expr, path, d)
			}
		}
	}
}
