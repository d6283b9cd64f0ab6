package cache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/promql"
)

const second, minute = int64(1000), int64(60_000)

func shapeOfText(t *testing.T, text string) (*shape, string) {
	t.Helper()
	expr, err := promql.NewParser().ParseExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	return shapeOf(expr, 5*time.Minute)
}

// TestReach checks where the data of a value is thought to lie. Five minutes before each window are for histograms.
func TestReach(t *testing.T) {
	const hint = hintMs
	for text, want := range map[string]span{
		`m`:                                  {-5*minute - hint, 0},
		`m offset 1h`:                        {-65*minute - hint, 0},
		`m offset -2m`:                       {-3*minute - hint, 2 * minute},
		`rate(m[10m])`:                       {-10*minute - hint, 0},
		`rate(m[10m] offset 5m)`:             {-15*minute - hint, 0},
		`max_over_time(m[1h:1m])`:            {-65*minute - hint, 0},
		`max_over_time(rate(m[2m])[1h:1m])`:  {-62*minute - hint, 0},
		`max_over_time(m[1h:1m] offset -3m)`: {-62*minute - hint, 3 * minute},
		`m + rate(n[30s] offset 2h)`:         {-120*minute - 30*second - hint, 0},
		`m @ 100`:                            {},
	} {
		s, why := shapeOfText(t, text)
		if why != "" {
			t.Errorf("%s: %s", text, why)
		} else if s.reach != want {
			t.Errorf("%s: %v, want %v", text, s.reach, want)
		}
	}
	s, _ := shapeOfText(t, `m - rate(n[1m] @ 7200 offset 10m)`)
	if want := (span{6_600_000 - minute - hint, 6_600_000}); !slices.Equal(s.pinned, []span{want}) {
		t.Errorf("pinned %v, want %v", s.pinned, want)
	}
	if got := s.data(span{10_000_000, 11_000_000}); got != (span{6_600_000 - minute - hint, 11_000_000}) {
		t.Errorf("data %v", got)
	}
}

func TestMetrics(t *testing.T) {
	for text, want := range map[string]string{
		`m`: "m", `n + m{a="b"} + n`: "m n", `{__name__="m"}`: "m", `{__name__=~"m|n"}`: "*", `m + {a="b"}`: "*", `{__name__!="m", a="b"}`: "*",
	} {
		s, why := shapeOfText(t, text)
		if why != "" {
			t.Fatalf("%s: %s", text, why)
		}
		got := strings.Join(s.metrics, " ")
		if s.everyMetric {
			got = "*"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestWhatIsRemembered is about expressions whose values at a time depend on the time alone, and others.
func TestWhatIsRemembered(t *testing.T) {
	for text, want := range map[string]string{
		`sum by (job) (rate(m[5m])) / sum by (job) (n)`:             "",
		`histogram_quantile(0.9, sum by (le) (rate(m_bucket[5m])))`: "",
		`topk(5, m)`:                                  "",
		`topk(5, rate(m[5m]))`:                        "",
		`topk(5, sum(m))`:                             "",
		`max(sum by (pod) (m))`:                       "",
		`sum(count by (pod) (m))`:                     "",
		`count(sum by (pod) (m))`:                     "",
		`avg(abs(m))`:                                 "",
		`m or n`:                                      "",
		`rate(m[1m]) or rate(m[5m])`:                  "",
		`m or vector(0)`:                              "",
		`rate(m[1m]) or sum(m)`:                       "",
		`label_replace(m, "a", "$1", "b", "(.*)")`:    "",
		`m @ 100`:                                     "",
		`max_over_time(m[5m:1m] @ 100)`:               "",
		`1 + 1`:                                       "it reads nothing",
		`time()`:                                      "it reads nothing",
		`m @ end()`:                                   "@ start() or @ end()",
		`max_over_time(m[5m:1m] @ start())`:           "@ start() or @ end()",
		`max_over_time((m @ 100)[5m:1m])`:             "inside a subquery",
		`rate(m[1m * 2])`:                             "duration that is computed",
		`m offset (1m + 1m)`:                          "duration that is computed",
		`max_over_time(m[10m:step()])`:                "duration that is computed",
		`increase(m[5m] anchored)`:                    "anchored",
		`info(m)`:                                     "function info",
		`sort(m)`:                                     "function sort",
		`m - start()`:                                 "function start",
		`topk(5, sum by (pod) (m))`:                   "groups that are aggregated again",
		`sum(sum by (pod) (m))`:                       "groups that are aggregated again",
		`avg(-(sum by (pod) (m)))`:                    "groups that are aggregated again",
		`stddev(count by (pod) (m))`:                  "groups that are aggregated again",
		`sum(max_over_time(sum by (pod) (m)[5m:1m]))`: "groups that are aggregated again",
		`topk(scalar(n), m)`:                          "parameter is computed",
		`m or rate(m[5m])`:                            "or between series",
		`rate(m[5m]) or last_over_time(m[5m])`:        "or between series",
		`sum by (__name__) (m) or sum by (__name__) (-m)`:                  "or between series",
		`label_replace(m, "__name__", "$1", "b", "(.*)")`:                  "name that is replaced",
		`sum(m) + fill(0) sum(n)`:                                          "fill",
		`count_values("v", m) or topk(1, m) or max by (a) (time() - -m{})`: "",
	} {
		if _, why := shapeOfText(t, text); want == "" && why != "" || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", text, why, want)
		}
	}
}
