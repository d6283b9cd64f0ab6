package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/promql/tiertest"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
)

const (
	tierHour = 3600
	tierBase = 480_000 * tierHour // in seconds
)

// twelveHours has a counter at 15 s for twelve hours.
func twelveHours(t testing.TB) *memory.Store {
	t.Helper()
	ls := labels.FromStrings("__name__", "requests_total", "job", "api")
	key := store.KeyOf(store.DefaultTenant, ls)
	b := &store.Batch{Series: []store.Series{{
		Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: tierBase * 1000, MaxMs: (tierBase + 12*tierHour) * 1000,
	}}}
	for s := int64(15); s <= 12*tierHour; s += 15 {
		b.Samples.Append(key, (tierBase+s)*1000, store.Decimal{Mant: s * s % 100_000})
	}
	m := memory.New()
	if err := m.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return m
}

// overTiers has the tiers of a store; raw samples have expired in the first six hours, and minutes in the first three.
func overTiers(o *api.Options, s *memory.Store) {
	from := func(hour int64) []rollup.Span {
		return []rollup.Span{{FromMs: (tierBase + hour*tierHour) * 1000, ToMs: (tierBase + 12*tierHour) * 1000}}
	}
	tiers := &tiertest.Reader{Store: s, Covered: rollup.Coverage{from(6), from(3), from(0)}}
	o.Reader, o.Parser = s, promql.NewParser()
	o.Queryable = adapter.NewTieredQueryable(s, rollup.NewStitch(tiers, s), adapter.Limits{})
	o.Engine = tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: tiers})
}

func TestResolution(t *testing.T) {
	s := twelveHours(t)
	server := serveAPI(t, nil, func(o *api.Options) { overTiers(o, s) })
	for _, c := range []struct {
		header, query   string
		start, end      int64 // hours
		code            int
		want, explained string
	}{
		{"", "rate(requests_total[1h])", 8, 12, 200, `"result":[{`, `"tier":"1h"`},
		{"auto", "rate(requests_total[1h])", 8, 12, 200, `"result":[{`, `"rowsRead":5`},
		{"1h", "rate(requests_total[1h])", 8, 12, 200, `"result":[{`, `"why":"1h was asked for"`},
		{"1m", "rate(requests_total[1h])", 8, 12, 200, `"result":[{`, `"tier":"1m"`},
		{"raw", "rate(requests_total[1h])", 8, 12, 200, `"result":[{`, `"tier":"raw"`},
		{"1h", "rate(requests_total[5m])", 8, 12, 422, "cannot be answered exactly from tier 1h: the range 5m is no multiple of 1h", ""},
		{"1h", "quantile_over_time(0.9, requests_total[1h])", 8, 12, 422, "no tier has what quantile_over_time needs", ""},
		{"1h", "rate(requests_total[1h]) + quantile_over_time(0.9, requests_total[1h])", 8, 12, 422, "quantile_over_time", ""},
		{"1m", "rate(requests_total[1h])", 2, 4, 422, "have expired, which it needs beside tier 1m", ""},
		{"1h", "rate(requests_total[1h])", 20, 22, 422, "nothing of the time is complete in it", ""},
		{"2h", "up", 8, 12, 400, "is no resolution", ""},
		{"", "quantile_over_time(0.9, requests_total[1h])", 4, 12, 200,
			`"warnings":["PromQL warning: requests_total[1h]: answered approximately from tier 1m until 2024-10-04T06:00:00Z: quantile_over_time of the last sample of each 1m"]`,
			`"approximate":"answered approximately from tier 1m until`},
		{"", "rate(requests_total[1h])", 1, 12, 200, `"result":[{`, `"tier":"1h"`},
	} {
		form := url.Values{
			"query": {c.query}, "explain": {"1"}, "step": {"3600"},
			"start": {fmt.Sprint(tierBase + c.start*tierHour)}, "end": {fmt.Sprint(tierBase + c.end*tierHour)},
		}
		resp, body := send(t, server, http.MethodGet, "/api/v1/query_range?"+form.Encode(), "", http.Header{"X-Metricstream-Resolution": {c.header}})
		if resp.StatusCode != c.code || !strings.Contains(body, c.want) || !strings.Contains(body, c.explained) {
			t.Errorf("%q %s of hours %d to %d: %d %s\nwanted %d, %s and %s", c.header, c.query, c.start, c.end, resp.StatusCode, body, c.code, c.want, c.explained)
		}
		if c.code == 200 && !strings.Contains(c.query, "quantile") && strings.Contains(body, `"warnings"`) {
			t.Errorf("%q %s of hours %d to %d warns: %s", c.header, c.query, c.start, c.end, body)
		}
	}
}

// TestExplain: what is explained stands beside the data, and only for those who ask.
func TestExplain(t *testing.T) {
	s := twelveHours(t)
	server := serveAPI(t, nil, func(o *api.Options) { overTiers(o, s) })
	form := url.Values{"query": {"sum(increase(requests_total[4h30m])) + requests_total"}, "time": {fmt.Sprint(tierBase + 11*tierHour + 1800)}}
	_, body := call(t, server, http.MethodPost, "/api/v1/query", form)
	if strings.Contains(body, "explain") {
		t.Errorf("nobody asked for %s", body)
	}
	form.Set("explain", "1")
	code, body := call(t, server, http.MethodPost, "/api/v1/query", form)
	var got struct {
		Data    struct{ ResultType string }
		Explain struct {
			Selectors []struct {
				Selector, Function, Tier, Ends, Aggregation, Why string
				From, To                                         string
				Covered                                          [][2]string
				Series, RowsRead, RawSamplesRead                 int64
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if len(got.Explain.Selectors) != 2 {
		t.Fatalf("two selectors are explained by %s", body)
	}
	one, two := got.Explain.Selectors[0], got.Explain.Selectors[1]
	if one.Selector != "requests_total[4h30m]" || one.Function != "increase" || one.Tier != "1h" || one.Aggregation != "sum" || one.Series != 1 || one.RowsRead != 4 ||
		one.RawSamplesRead != 120 || one.Ends != "raw" || len(one.Covered) != 1 || one.From != "2024-10-04T07:00:00Z" {
		t.Errorf("the range: %+v", one)
	}
	if two.Selector != "requests_total" || two.Tier != "1m" || two.RowsRead == 0 || two.RawSamplesRead != 0 ||
		two.Why != "1h: it is evaluated at times that are no multiples of 1h" {
		t.Errorf("the instant selector: %+v", two)
	}
}

// TestResolutionWithoutTiers: an engine that has none answers from raw, and refuses anything else.
func TestResolutionWithoutTiers(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	for header, code := range map[string]int{"": 200, "auto": 200, "raw": 200, "1m": 422, "1h": 422, "x": 400} {
		resp, body := send(t, server, http.MethodGet, "/api/v1/query?query=up&explain=1", "", http.Header{"X-Metricstream-Resolution": {header}})
		if resp.StatusCode != code {
			t.Errorf("%q: %d %s", header, resp.StatusCode, body)
		}
		if code == 200 && !strings.Contains(body, `"explain":{"selectors":[]}`) {
			t.Errorf("%q explains %s", header, body)
		}
	}
}
