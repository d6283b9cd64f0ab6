package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
)

// request is one call of an endpoint below /api/v1.
type request struct {
	path string
	form url.Values
}

func req(path string, pairs ...string) request { return request{path, values(pairs...)} }

// sameAsPrometheus are answered by Prometheus and by us with the same status and the same text.
func sameAsPrometheus() []request {
	var all []request
	for _, q := range []string{
		"1+1", `"str<>&"`, "1e300", "-0.5", "NaN", "Inf", "1/0", "time()", "vector(1)", "up", "up[3m]", `{__name__="odd"}`, "odd[10m]",
		"sum by (job) (rate(requests_total[5m]))", "latency", "latency[3m]", "histogram_quantile(0.9, rate(latency[5m]))",
		"rate(latency[5m])", "histogram_count(latency)", "latency / 3", "sum(latency)", "nothing", "absent(nothing)", "up offset 1m", "up @ 60",
		"max_over_time(up[10m:1m])", "quantile(2, up)", "rate(up[5m])", "topk(5, up)", "up == bool 1",
		"up + on(job) requests_total", "label_replace(up, \"new\", \"<$1>\", \"job\", \"(.*)\")", "info(up)",
		`label_replace(up, "__name__", "x", "", "")`, `label_replace(up, "instance", "same", "", "")`,
		"", "(", "up{", "rate(up)", "unknown_function(up)", "up{a=\"b\"", "sum(up", "{}", `{job=~".*"}`, "up[5m:]", "1 + \"a\"", "up[1000000000y]",
		"histogram_quantile(up, latency)", "-latency", "latency{job=\"custom\"} + latency{job=\"api\"}", "sum(rate(latency{job=\"custom\"}[5m]) + ignoring(job) rate(latency{job=\"api\"}[5m]))",
	} {
		for _, at := range []string{"0", "600.123", "1800", "-100", "1970-01-01T00:20:00.5Z", "1e15"} {
			all = append(all, req("query", "query", q, "time", at))
		}
		for _, r := range [][3]string{{"0", "1800", "60"}, {"0", "1800", "5m"}, {"30.5", "900.25", "0.5"}, {"600", "600", "1"}, {"1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z", "1h"}} {
			all = append(all, req("query_range", "query", q, "start", r[0], "end", r[1], "step", r[2]))
		}
		all = append(all, req("format_query", "query", q), req("parse_query", "query", q), req("query_exemplars", "query", q))
	}
	for _, q := range treeQueries {
		all = append(all, req("parse_query", "query", q), req("format_query", "query", q))
	}
	return append(append(all, badParameters()...), lookups()...)
}

var treeQueries = []string{
	"foo", `foo{bar="baz",x!="y",r=~"a.*",n!~"<b>"}`, "foo[5m] offset 10m", "foo[5m:1m] @ end()", "foo @ start()", "foo @ 12.5", "-foo", "+(foo)",
	"sum without (a, b) (foo)", "quantile by (x) (0.9, foo)", "count_values(\"v\", foo)", "a / on(x) group_left(y) b", "a and ignoring(z) b", "a > bool 3",
	"rate(foo[5m])", "foo[5m + 1m]", "foo[1m * 2:(30s)]", "foo offset -(1m)", "foo[step()]", `"text" # comment`, "0x1F", "1_000.5", "Inf", "time()", "{\"utf 8 metric\", \"label<\"=\"v\"}",
	"foo anchored", "foo[5m] smoothed", "foo[5m] anchored", "a + b * c ^ d", "a unless b or c", "sum(rate(very_long_metric_name_for_wrapping_a{label=\"value\"}[5m])) by (job, instance) / sum(rate(very_long_metric_name_for_wrapping_b[5m])) by (job, instance)",
	"topk(5, sort_by_label(foo, \"a\"))", "a + fill(0) b", "min(max(3, step()), 1)", "foo[max(1m, 2m)]",
}

func badParameters() []request {
	ok := func(extra ...string) []string { return append([]string{"query", "up", "time", "60"}, extra...) }
	okRange := func(start, end, step string, extra ...string) []string {
		return append([]string{"query", "up", "start", start, "end", end, "step", step}, extra...)
	}
	return []request{
		req("query", "query", "up", "time", "yesterday"),
		req("query", ok("timeout", "soon")...), req("query", ok("timeout", "0")...), req("query", ok("timeout", "-1s")...), req("query", ok("timeout", "5s")...),
		req("query", ok("limit", "x")...), req("query", ok("limit", "-1")...), req("query", ok("limit", "0")...), req("query", ok("limit", "1")...),
		req("query", ok("lookback_delta", "x")...), req("query", ok("lookback_delta", "1s")...), req("query", ok("lookback_delta", "1h")...),
		req("query_range", okRange("", "60", "1")...), req("query_range", okRange("0", "", "1")...), req("query_range", okRange("0", "60", "")...),
		req("query_range", okRange("x", "60", "1")...), req("query_range", okRange("0", "y", "1")...), req("query_range", okRange("0", "60", "z")...),
		req("query_range", okRange("60", "0", "1")...), req("query_range", okRange("0", "60", "0")...), req("query_range", okRange("0", "60", "-5")...),
		req("query_range", okRange("0", "11000", "1")...), req("query_range", okRange("0", "11001", "1")...), req("query_range", okRange("0", "60", "1e300")...),
		req("query_range", okRange("0", "60", "60", "limit", "1")...), req("query_range", okRange("0", "60", "60", "limit", "-3")...),
		req("query_range", okRange("0", "60", "60", "timeout", "x")...), req("query_range", okRange("0", "60", "60", "lookback_delta", "x")...),
		req("query_range", "query", "up[5m]", "start", "0", "end", "60", "step", "10"),
		req("query_range", "query", `"string"`, "start", "0", "end", "60", "step", "10"),
		req("query_exemplars", "query", "up", "start", "10", "end", "5"), req("query_exemplars", "query", "up", "start", "x"),
		req("query_exemplars", "query", "up", "start", "1700000000000", "end", "1700000060000"), req("query_exemplars", "query", "1+1"),
		req("metadata", "limit", "x"), req("metadata", "limit_per_metric", "x"), req("metadata"),
		req("rules"), req("targets"), req("targets/metadata"), req("alerts"),
	}
}

func lookups() []request {
	minText, maxText := "-292273086-05-16T16:47:06Z", "+292277025-08-18T07:12:54.999999999Z"
	all := []request{
		req("series"), req("series", "match[]", "{"), req("series", "match[]", `{x=""}`), req("series", "match[]", "up", "start", "x"),
		req("series", "match[]", "up", "match[]", `{job="api"}`), req("series", "match[]", "nothing"), req("series", "match[]", "up", "end", "q"),
		req("series", "match[]", `{__name__!=""}`, "match[]", "up", "limit", "3"), req("series", "match[]", "up", "limit", "abc"),
		req("series", "match[]", `{kind=~"esc.*"}`, "match[]", `{kind=~"esc.*"}`),
		req("labels", "match[]", "{"), req("labels", "match[]", `{x=""}`), req("label/job/values", "match[]", "{"), req("label/job/values", "limit", "-1"),
		req("label/0bad/values"), req("label/U__kind/values"), req("label/kind/values"), req("label/none/values"), req("label/U__http_2e_x/values"),
		req("label/job/values", "start", minText, "end", maxText), req("labels", "start", minText, "end", maxText), req("labels", "start", "nope"),
	}
	for _, ms := range [][]string{{}, {"up"}, {"up", "latency"}, {`{kind="inf"}`}, {"nothing"}, {"up", "nothing"}, {"up", "up"}} {
		for _, limit := range []string{"", "0", "1", "2", "1000"} {
			form := []string{"limit", limit}
			for _, m := range ms {
				form = append(form, "match[]", m)
			}
			all = append(all, req("labels", form...))
			if len(ms) > 0 || limit == "" { // Prometheus cuts before it sorts when nothing is selected
				all = append(all, req("label/job/values", form...), req("label/__name__/values", form...))
			}
		}
	}
	return all
}

func TestSameTextAsPrometheus(t *testing.T) {
	data := loaded(t, fixture)
	judge, ours := servePrometheus(t, data), serveAPI(t, data, nil)
	for _, r := range sameAsPrometheus() {
		wantCode, want := call(t, judge, http.MethodGet, "/api/v1/"+r.path, r.form)
		code, got := call(t, ours, http.MethodGet, "/api/v1/"+r.path, r.form)
		if got != want && unordered(r, want) {
			wantCode, want = canonical(t, judge, http.MethodGet, r)
			code, got = canonical(t, ours, http.MethodGet, r)
		}
		if code != wantCode || got != want {
			t.Errorf("%s %v:\n got %d %.1500s\nwant %d %.1500s", r.path, r.form, code, got, wantCode, want)
		}
	}
}

// TestSameAnswersAsPrometheus reads the same data through store.Reader and the adapter. The order of an instant
// vector is that of the store, so it is not compared.
func TestSameAnswersAsPrometheus(t *testing.T) {
	data := loaded(t, fixture)
	m := copied(t, data, store.DefaultTenant)
	judge := servePrometheus(t, data)
	ours := serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) })
	for _, r := range sameAsPrometheus() {
		if r.form.Get("limit") == "1" && r.path == "query" {
			continue // which one is kept follows from the order
		}
		wantCode, want := canonical(t, judge, http.MethodGet, r)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if method == http.MethodPost && !postable(r.path) {
				continue
			}
			if code, got := canonical(t, ours, method, r); code != wantCode || got != want {
				t.Errorf("%s %s %v:\n got %d %.1500s\nwant %d %.1500s", method, r.path, r.form, code, got, wantCode, want)
			}
		}
	}
}

// unordered tells of texts that Prometheus itself writes now one way, now another: several annotations, and the
// result of info, come in the order of a Go map.
func unordered(r request, text string) bool {
	return strings.Contains(text, `"infos":[`) || strings.Contains(text, `"warnings":[`) || strings.Contains(r.form.Get("query"), "info(")
}

func postable(path string) bool {
	return slices.Contains([]string{"query", "query_range", "query_exemplars", "series", "labels", "format_query", "parse_query"}, path)
}

// canonical sorts what is a set.
func canonical(t *testing.T, server *httptest.Server, method string, r request) (int, string) {
	code, body := call(t, server, method, "/api/v1/"+r.path, r.form)
	var envelope map[string]any
	if code == http.StatusNoContent || json.Unmarshal([]byte(body), &envelope) != nil {
		return code, body
	}
	if data, ok := envelope["data"].(map[string]any); ok && data["resultType"] == "vector" {
		sortByText(data["result"])
	}
	if r.path == "series" {
		sortByText(envelope["data"])
	}
	sortByText(envelope["warnings"])
	sortByText(envelope["infos"])
	text, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return code, string(text)
}

func sortByText(v any) {
	if list, ok := v.([]any); ok {
		slices.SortFunc(list, func(a, b any) int {
			x, _ := json.Marshal(a)
			y, _ := json.Marshal(b)
			return slices.Compare(x, y)
		})
	}
}
