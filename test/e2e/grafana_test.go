package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// grafana asks what Grafana's Prometheus data source asks, with its methods, parameters and headers, and is as strict about the
// answers. It is not that module itself: its licence is the AGPL, and it is published only as a part of Grafana's own
// repository, not as a Go module that a go.mod can name.
type grafana struct {
	url    string      // as configured, with a prefix or without
	method string      // as configured: POST unless somebody changes it
	header http.Header // credentials and custom headers
}

// customParameters are of the data source's configuration; they go into the address of queries, beside a form too.
const customParameters = "timeout=30s&stats=true&made_up=1"

func (g grafana) send(t *testing.T, method, endpoint, parameters string, form url.Values) (int, string) {
	t.Helper()
	address, body := g.url+"/"+endpoint, io.Reader(http.NoBody)
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else {
		parameters = strings.Trim(parameters+"&"+form.Encode(), "&")
	}
	if parameters != "" {
		address += "?" + parameters
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = g.header.Clone()
	for name, value := range map[string]string{
		"X-Dashboard-Uid": "d1", "X-Panel-Id": "2", "X-Grafana-Org-Id": "1", "X-Grafana-User": "admin", "X-Query-Group-Id": "q", "FromAlert": "false",
	} {
		r.Header.Set(name, value)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// query sends one of a panel or an alert; Grafana reads the answer as the API's for these statuses alone.
func (g grafana) query(t *testing.T, endpoint string, form url.Values) (code int, a grafanaAnswer) {
	t.Helper()
	code, text := g.send(t, g.method, "api/v1/"+endpoint, customParameters, form)
	if !slices.Contains([]int{200, 400, 422, 503}, code) {
		t.Fatalf("%s %v: %d %s", endpoint, form, code, text)
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%s %v: %d %s: %v", endpoint, form, code, text, err)
	}
	return code, a
}

// resource sends what editors, variables and the start page ask, and decodes the data. What was refused as a POST is asked
// again as a GET.
func (g grafana) resource(t *testing.T, method, endpoint string, form url.Values, data any) {
	t.Helper()
	code, text := g.send(t, method, "api/v1/"+endpoint, "", form)
	if code == http.StatusMethodNotAllowed || code == http.StatusBadRequest {
		code, text = g.send(t, http.MethodGet, "api/v1/"+endpoint, "", form)
	}
	answer := struct {
		Status string
		Data   any
	}{Data: data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusOK || answer.Status != "success" {
		t.Errorf("%s of %s: %d %s: %v", method, endpoint, code, text, err)
	}
}

// grafanaAnswer is what Grafana makes its frames of.
type grafanaAnswer struct {
	Status, ErrorType, Error string
	Warnings, Infos          []string
	Data                     struct {
		ResultType string
		Result     json.RawMessage
		Stats      struct {
			Samples struct{ TotalQueryableSamples *int }
		}
	}
}

type grafanaSeries struct {
	Metric     map[string]string
	Value      *grafanaSample
	Values     []grafanaSample
	Histogram  *grafanaBuckets
	Histograms []grafanaBuckets
}

// series decodes a vector or a matrix.
func (a grafanaAnswer) series(t *testing.T, kind string) (all []grafanaSeries) {
	t.Helper()
	if a.Status != "success" || a.Data.ResultType != kind {
		t.Fatalf("%+v, want a %s", a, kind)
	}
	if a.Data.Stats.Samples.TotalQueryableSamples == nil {
		t.Error("the parameters in the address of a query are not heeded")
	}
	if err := json.Unmarshal(a.Data.Result, &all); err != nil {
		t.Fatalf("%s: %v", a.Data.Result, err)
	}
	return all
}

// grafanaSample is [a number, a string].
type grafanaSample struct{ at, value float64 }

func (s *grafanaSample) UnmarshalJSON(raw []byte) error {
	var text string
	err := tuple(raw, &s.at, &text)
	if err == nil {
		s.value, err = strconv.ParseFloat(text, 64)
	}
	return err
}

// grafanaBuckets is [a number, {"buckets": [[a small integer, three strings], ...]}].
type grafanaBuckets struct {
	at      float64
	layouts []int8
	bounds  [][3]float64 // and the count
}

func (b *grafanaBuckets) UnmarshalJSON(raw []byte) error {
	var h struct{ Buckets []json.RawMessage }
	if err := tuple(raw, &b.at, &h); err != nil {
		return err
	}
	for _, one := range h.Buckets {
		var layout int8
		var texts [3]string
		var numbers [3]float64
		if err := tuple(one, &layout, &texts[0], &texts[1], &texts[2]); err != nil {
			return err
		}
		for i, text := range texts {
			var err error
			if numbers[i], err = strconv.ParseFloat(text, 64); err != nil {
				return err
			}
		}
		b.layouts, b.bounds = append(b.layouts, layout), append(b.bounds, numbers)
	}
	return nil
}

// tuple decodes an array of exactly these.
func tuple(raw []byte, into ...any) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != len(into) {
		return fmt.Errorf("%s has %d parts, want %d", raw, len(parts), len(into))
	}
	for i, part := range parts {
		if err := json.Unmarshal(part, into[i]); err != nil {
			return err
		}
	}
	return nil
}

// TestGrafana has Grafana's data source read with a key, in each way that it can be configured to send one, and be refused
// with one that may only write and without any.
func TestGrafana(t *testing.T) {
	t.Parallel()
	i := &ingest{}
	i.node, i.nowMs = start(t, "all", t.TempDir(), "--auth.enabled", "--clickhouse.dsn="+clickhouse(t)), time.Now().UnixMilli()/15_000*15_000
	i.operator = firstKey(t, i.node)
	read := keyCommand(t, i.node, i.operator, "key", "create", "--scope=read")
	write := keyCommand(t, i.node, i.operator, "key", "create", "--scope=write")
	if got := i.push(t, write, "", panels(i.nowMs)); got.code != http.StatusNoContent {
		t.Fatalf("%+v", got)
	}
	eventually(t, time.Minute, "the series", func() error { return count(with(read, i.url), `{job="panels"}`, i.nowMs, 3) })

	basic := func(key string) http.Header {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth("any", key)
		return r.Header
	}
	for name, g := range map[string]grafana{
		"basic authentication": {i.url, http.MethodPost, basic(read)},
		"a custom header":      {i.url + "/prometheus", http.MethodPost, http.Header{"Authorization": {"Bearer " + read}}},
		"another, by GET":      {i.url, http.MethodGet, http.Header{"X-Api-Key": {read}}},
	} {
		t.Run(name, func(t *testing.T) {
			g.testsTheSource(t)
			g.showsPanels(t, i.nowMs)
			g.editsQueries(t, i.nowMs)
		})
	}
	for key, want := range map[string]int{"": 401, write: 403} {
		header := http.Header{}
		if key != "" {
			header = basic(key)
		}
		grafana{i.url, http.MethodPost, header}.isRefused(t, want)
	}
}

// panels are a counter with an exemplar in two series, and a native histogram.
func panels(nowMs int64) *writev2.Request {
	symbols := writev2.NewSymbolTable()
	refs := func(pairs ...string) []uint32 { return symbols.SymbolizeLabels(labels.FromStrings(pairs...), nil) }
	req := &writev2.Request{}
	for k, exemplars := range [][]writev2.Exemplar{{{LabelsRefs: refs("trace_id", "abc"), Value: 0.5, Timestamp: nowMs - 1000}}, nil} {
		s := writev2.TimeSeries{LabelsRefs: refs("__name__", "panels_total", "job", "panels", "k", fmt.Sprint(k)), Exemplars: exemplars,
			Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize("Of panels."), UnitRef: symbols.Symbolize("s")}}
		for at := nowMs - 60_000; at <= nowMs; at += 15_000 {
			s.Samples = append(s.Samples, writev2.Sample{Value: float64(at-nowMs)/1000 + 100, Timestamp: at})
		}
		req.Timeseries = append(req.Timeseries, s)
	}
	req.Timeseries = append(req.Timeseries, writev2.TimeSeries{LabelsRefs: refs("__name__", "panels_seconds", "job", "panels"),
		Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, nowMs, intHistogram)}})
	req.Symbols = symbols.Symbols()
	return req
}

// testsTheSource does what "Save & test" does: a query, and what product answers it. One with features were Mimir.
func (g grafana) testsTheSource(t *testing.T) {
	t.Helper()
	_, a := g.query(t, "query", url.Values{"query": {"1+1"}, "time": {"4"}})
	var two grafanaSample
	if err := json.Unmarshal(a.Data.Result, &two); err != nil || a.Data.ResultType != "scalar" || two != (grafanaSample{4, 2}) {
		t.Errorf("the health check: %+v: %v", a, err)
	}
	var build struct {
		Version, Revision, Branch, BuildUser, BuildDate, GoVersion string
		Features                                                   map[string]string
	}
	g.resource(t, http.MethodGet, "status/buildinfo", nil, &build)
	if len(build.Features) > 0 || !strings.HasPrefix(build.Version, "3.") {
		t.Errorf("%+v", build)
	}
}

// showsPanels asks for a table, a graph, a heat map and exemplars, and for what is wrong with a query.
func (g grafana) showsPanels(t *testing.T, nowMs int64) {
	t.Helper()
	now := float64(nowMs) / 1000
	at := func(s float64) []string { return []string{strconv.FormatFloat(s, 'f', -1, 64)} }
	span := func(query string) url.Values {
		return url.Values{"query": {query}, "start": at(now - 60), "end": at(now), "step": {"15"}}
	}
	_, a := g.query(t, "query", url.Values{"query": {"panels_total"}, "time": at(now)})
	if s := a.series(t, "vector"); len(s) != 2 || s[0].Metric["k"] != "0" || s[0].Value == nil || *s[0].Value != (grafanaSample{now, 100}) {
		t.Errorf("a table: %+v", s)
	}
	_, a = g.query(t, "query_range", span("sum(panels_total)"))
	if s := a.series(t, "matrix"); len(s) != 1 || s[0].Metric == nil || len(s[0].Values) != 5 || s[0].Values[0] != (grafanaSample{now - 60, 80}) {
		t.Errorf("a graph: %+v", s)
	}
	_, a = g.query(t, "query_range", span("panels_seconds"))
	if s := a.series(t, "matrix"); len(s) != 1 || len(s[0].Values) != 0 || len(s[0].Histograms) != 1 || len(s[0].Histograms[0].layouts) != 5 || s[0].Histograms[0].at != now {
		t.Errorf("a heat map: %+v", s)
	}
	_, a = g.query(t, "query", url.Values{"query": {"panels_seconds"}, "time": at(now)})
	if s := a.series(t, "vector"); len(s) != 1 || s[0].Histogram == nil || s[0].Histogram.bounds[1] != [3]float64{-0.001, 0.001, 1} {
		t.Errorf("a histogram: %+v", s)
	}
	code, text := g.send(t, g.method, "api/v1/query_exemplars", customParameters, span("panels_total"))
	var exemplars struct {
		Data []struct {
			SeriesLabels map[string]string
			Exemplars    []struct {
				Labels    map[string]string
				Value     string
				Timestamp float64
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &exemplars); err != nil || code != 200 || len(exemplars.Data) != 1 || exemplars.Data[0].SeriesLabels["k"] != "0" ||
		len(exemplars.Data[0].Exemplars) != 1 || exemplars.Data[0].Exemplars[0].Value != "0.5" || exemplars.Data[0].Exemplars[0].Timestamp != now-1 {
		t.Errorf("exemplars: %d %s: %v", code, text, err)
	}
	for query, want := range map[string]string{"sum(": "400 bad_data", "panels_total * on() panels_total": "422 execution"} {
		if code, a := g.query(t, "query_range", span(query)); fmt.Sprint(code, " ", a.ErrorType) != want || a.Status != "error" || a.Error == "" {
			t.Errorf("%s: %d %+v, want %s", query, code, a, want)
		}
	}
}

// editsQueries asks what the editor of queries and the variables of a dashboard ask.
func (g grafana) editsQueries(t *testing.T, nowMs int64) {
	t.Helper()
	span := url.Values{"start": {fmt.Sprint(nowMs/1000 - 3600)}, "end": {fmt.Sprint(nowMs/1000 + 1)}, "limit": {"40000"}}
	narrowed := func(match string) url.Values {
		form := maps.Clone(span)
		form.Set("match[]", match)
		return form
	}
	for _, form := range []url.Values{span, narrowed(`{__name__!=""}`), narrowed(`panels_total{job="panels"}`)} {
		var names, values []string
		g.resource(t, g.method, "labels", form, &names)
		if fmt.Sprint(names) != "[__name__ job k]" {
			t.Errorf("labels of %v: %v", form, names)
		}
		// Of old versions this is a POST.
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			g.resource(t, method, "label/k/values", form, &values)
			if fmt.Sprint(values) != "[0 1]" {
				t.Errorf("values of %v: %v", form, values)
			}
		}
	}
	var series []map[string]string
	g.resource(t, g.method, "series", narrowed(`{__name__!=""}`), &series)
	if len(series) != 3 || series[0]["job"] != "panels" {
		t.Errorf("series: %v", series)
	}
	var metadata map[string][]struct{ Type, Help, Unit string }
	g.resource(t, http.MethodGet, "metadata", url.Values{"limit": {"40000"}}, &metadata)
	if m := metadata["panels_total"]; len(m) != 1 || m[0].Type != "counter" || m[0].Help != "Of panels." || m[0].Unit != "s" {
		t.Errorf("metadata: %v", metadata)
	}
	// Whether there are exemplars at all is asked in milliseconds, and success is what counts.
	exemplars := []any{}
	g.resource(t, g.method, "query_exemplars", url.Values{"query": {"test"}, "start": {fmt.Sprint(nowMs - 1_800_000)}, "end": {fmt.Sprint(nowMs)}}, &exemplars)
	var rules struct{ Groups []any }
	g.resource(t, http.MethodGet, "rules", nil, &rules)
	if rules.Groups == nil {
		t.Error("rules have no groups, not even none")
	}
}

// isRefused with a status of which Grafana shows the first 1,024 bytes of the body as they are.
func (g grafana) isRefused(t *testing.T, want int) {
	t.Helper()
	for _, path := range []string{"query", "query_range", "query_exemplars", "series", "labels", "label/k/values", "metadata", "status/buildinfo", "rules"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			code, text := g.send(t, method, "api/v1/"+path, "", url.Values{"query": {"1+1"}, "time": {"4"}})
			var a grafanaAnswer
			if err := json.Unmarshal([]byte(text), &a); err != nil || code != want || len(text) > 1024 || a.Status != "error" || !strings.Contains(a.Error, "key") {
				t.Errorf("%s of %s: %d %s: %v, want %d", method, path, code, text, err, want)
			}
		}
	}
}
