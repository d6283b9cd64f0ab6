package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
)

// described is a memory store with exemplars and metadata.
func described(t testing.TB) *memory.Store {
	t.Helper()
	ls := labels.FromStrings("__name__", "up", "job", "api")
	key := store.KeyOf(store.DefaultTenant, ls)
	b := store.Batch{
		Series: []store.Series{{Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: 1_700_000_000_000, MaxMs: 1_700_000_060_000}},
		Exemplars: []store.Exemplar{
			{Key: key, TimeMs: 1_700_000_000_123, Value: 6, Labels: labels.FromStrings("trace_id", "<1>")},
			{Key: key, TimeMs: 1_700_000_060_000, Value: 0.25, Labels: labels.FromStrings("trace_id", "2")},
		},
		Metadata: []store.Metadata{
			{Tenant: store.DefaultTenant, Name: "up", Type: "gauge", Help: "Whether <up>.", Unit: ""},
			{Tenant: store.DefaultTenant, Name: "latency", Type: "histogram", Help: "", Unit: "seconds"},
		},
	}
	m := memory.New()
	if err := m.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return m
}

type fixedStats store.Stats

func (f fixedStats) Stats(context.Context, string, int) (store.Stats, error) {
	return store.Stats(f), nil
}

func TestShapes(t *testing.T) {
	m := described(t)
	server := serveAPI(t, nil, func(o *api.Options) {
		overMemory(o, m)
		o.Version = api.Version{Version: "3.14.0", Revision: "abc", Branch: "main", BuildUser: "u", BuildDate: "d", GoVersion: "go1.26", Application: "MetricStream"}
		o.Flags = map[string]string{"b": "2", "a": "1"}
		o.ConfigYAML = func() string { return "a: <secret>\n" }
		o.Stats = fixedStats{Series: 3, LabelPairs: 4, MinMs: 6, MaxMs: 7,
			SeriesByMetric: []store.Count{{Name: "up", Value: 2}, {Name: "down", Value: 1}}}
	})
	exemplars := `[{"seriesLabels":{"__name__":"up","job":"api"},"exemplars":[{"labels":{"trace_id":"<1>"},"value":"6","timestamp":1700000000.123},{"labels":{"trace_id":"2"},"value":"0.25","timestamp":1700000060}]}]`
	for _, c := range []struct {
		path string
		form []string
		want string
	}{
		{"query_exemplars", []string{"query", "rate(up[5m]) + up", "start", "1700000000", "end", "1700000060"}, exemplars},
		{"query_exemplars", []string{"query", "up"}, exemplars},
		{"query_exemplars", []string{"query", "up", "start", "1700000000000", "end", "1700000060000"}, `[]`},
		{"metadata", nil, `{"latency":[{"type":"histogram","unit":"seconds","help":""}],"up":[{"type":"gauge","unit":"","help":"Whether \u003cup\u003e."}]}`},
		{"metadata", []string{"limit", "1"}, `{"latency":[{"type":"histogram","unit":"seconds","help":""}]}`},
		{"metadata", []string{"limit", "0"}, `{}`},
		{"metadata", []string{"metric", "up", "limit", "40000", "limit_per_metric", "1"}, `{"up":[{"type":"gauge","unit":"","help":"Whether \u003cup\u003e."}]}`},
		{"metadata", []string{"metric", "none"}, `{}`},
		{"labels", nil, `["__name__","job"]`},
		{"label/job/values", nil, `["api"]`},
		{"series", []string{"match[]", "up"}, `[{"__name__":"up","job":"api"}]`},
		{"status/buildinfo", nil, `{"version":"3.14.0","revision":"abc","branch":"main","buildUser":"u","buildDate":"d","goVersion":"go1.26","application":"MetricStream"}`},
		{"status/flags", nil, `{"a":"1","b":"2"}`},
		{"status/config", nil, `{"yaml":"a: \u003csecret\u003e\n"}`},
		{"status/tsdb", []string{"limit", "1"}, `{"headStats":{"numSeries":3,"numLabelPairs":4,"chunkCount":0,"minTime":6,"maxTime":7},"seriesCountByMetricName":[{"name":"up","value":2}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[]}`},
		{"status/tsdb/blocks", nil, `{"blocks":[]}`},
		{"status/walreplay", nil, `{"min":0,"max":0,"current":0}`},
		{"notifications", nil, `[]`},
		{"rules", []string{"type", "alert"}, `{"groups":[]}`},
		{"alerts", nil, `{"alerts":[]}`},
		{"alertmanagers", nil, `{"activeAlertmanagers":[],"droppedAlertmanagers":[]}`},
		{"targets", nil, `{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}`},
		{"targets/metadata", nil, `[]`},
		{"scrape_pools", nil, `{"scrapePools":[]}`},
	} {
		for _, prefix := range []string{"", "/prometheus"} {
			expect(t, server, prefix+"/api/v1/"+c.path, values(c.form...), 200, `{"status":"success","data":`+c.want+`}`)
		}
	}
}

func TestRuntimeInfoAndFeatures(t *testing.T) {
	server := serveAPI(t, loaded(t, ""), nil)
	_, body := call(t, server, http.MethodGet, "/api/v1/status/runtimeinfo", nil)
	for _, key := range []string{"startTime", "CWD", "hostname", "serverTime", "reloadConfigSuccess", "lastConfigTime", "corruptionCount",
		"goroutineCount", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "storageRetention"} {
		if !strings.Contains(body, `"`+key+`":`) {
			t.Errorf("runtimeinfo has no %s: %s", key, body)
		}
	}
	_, body = call(t, server, http.MethodGet, "/api/v1/features", nil)
	var features struct{ Data map[string]map[string]bool }
	if err := json.Unmarshal([]byte(body), &features); err != nil {
		t.Fatal(err)
	}
	if !features.Data["promql_functions"]["rate"] || !features.Data["api"]["query_stats"] || features.Data["api"]["admin"] {
		t.Errorf("features: %s", body)
	}
}

func TestBadParametersNameTheParameter(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	for _, c := range []struct {
		r     request
		named string
	}{
		{req("query", "query", "up", "time", "NaN"), `"time"`},
		{req("query", "query", "up", "time", "noon"), `"time"`},
		{req("query", "query", "up", "timeout", "NaN"), `"timeout"`},
		{req("query", "query", "up{"), `"query"`},
		{req("query_range", "query", "up", "start", "0", "end", "1", "step", "0.0001"), `"step"`},
		{req("query_range", "query", "up", "start", "-1e18", "end", "1e18", "step", "9000000000"), "11,000 points"},
		{req("query_range", "query", "up", "start", "NaN", "end", "1", "step", "1"), `"start"`},
		{req("series", "match[]", "up", "limit", "1.5"), `"limit"`},
		{req("series", "match[]", "up", "start", "x"), `"start"`},
		{req("labels", "end", "x"), `"end"`},
		{req("label/a/values", "limit", "-1"), `"limit"`},
		{req("metadata", "limit_per_metric", "few"), "limit_per_metric"},
		{req("status/tsdb", "limit", "0"), "limit"},
		{req("status/tsdb", "limit", "10001"), "limit"},
		{req("query_exemplars", "query", "up", "start", "x"), `"start"`},
	} {
		code, body := call(t, server, http.MethodGet, "/api/v1/"+c.r.path, c.r.form)
		var e struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if code != 400 || e.Status != "error" || e.ErrorType != "bad_data" || !strings.Contains(e.Error, c.named) {
			t.Errorf("%s %v: got %d %s, want 400 naming %s", c.r.path, c.r.form, code, body, c.named)
		}
	}
}

func TestStats(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	form := values("query", "up", "start", "0", "end", "120", "step", "60", "stats", "all")
	_, body := call(t, server, http.MethodGet, "/api/v1/query_range", form)
	var r struct {
		Data struct {
			Stats struct {
				Timings map[string]float64
				Samples struct {
					TotalQueryableSamples        int
					TotalQueryableSamplesPerStep [][2]float64
				}
			}
		}
		Warnings []string
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if s := r.Data.Stats; s.Samples.TotalQueryableSamples != 6 || len(s.Samples.TotalQueryableSamplesPerStep) != 3 || len(s.Timings) != 6 || len(r.Warnings) != 0 {
		t.Errorf("stats=all: %s", body)
	}
	form.Set("stats", "yes")
	if _, body = call(t, server, http.MethodGet, "/api/v1/query_range", form); !strings.Contains(body, `"stats":{`) || !strings.Contains(body, "deprecated") {
		t.Errorf("stats=yes: %s", body)
	}
	form.Del("stats")
	if _, body = call(t, server, http.MethodGet, "/api/v1/query_range", form); strings.Contains(body, `"stats"`) {
		t.Errorf("no stats: %s", body)
	}
}
