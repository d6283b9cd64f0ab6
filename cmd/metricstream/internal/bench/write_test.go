package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// target is a fake backend behind an http.RoundTripper, so that it lives in the virtual time of a synctest bubble:
// what it takes to answer is what the test says, to the nanosecond.
type target struct {
	t testing.TB
	// answer, where set, decides about write request n (from 0): a status, after whatever time it likes to take.
	// Status 0 is a broken connection.
	answer func(n int, r *http.Request) int
	// header is added to every answer.
	header http.Header
	// hidden is how long after its ack a sample cannot be queried.
	hidden time.Duration

	mu       sync.Mutex
	writes   int
	samples  map[string][]point // by label set, in order of arrival
	metadata int
	ackedAt  map[point]time.Time
}

func newTarget(t testing.TB) *target {
	return &target{t: t, samples: map[string][]point{}, ackedAt: map[point]time.Time{}}
}

func (g *target) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/api/v1/query" {
		return g.response(http.StatusOK, g.query(r)), nil
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	protocol := Protocol1
	if strings.Contains(r.Header.Get("Content-Type"), "v2.Request") {
		protocol = Protocol2
	}
	points, metadata := decode(g.t, protocol, body)
	status := http.StatusNoContent
	if g.answer != nil && !isProbe(points) && len(points) > 0 {
		g.mu.Lock()
		n := g.writes
		g.writes++
		g.mu.Unlock()
		status = g.answer(n, r)
	}
	if status == 0 {
		return nil, errors.New("connection broken")
	}
	if status/100 == 2 {
		g.store(points)
		g.mu.Lock()
		g.metadata += len(metadata)
		g.mu.Unlock()
	}
	resp := g.response(status, "the target says\nno more")
	if protocol == Protocol2 && g.header == nil {
		resp.Header.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(points)))
	}
	return resp, nil
}

func isProbe(points []point) bool {
	return len(points) == 1 && strings.Contains(points[0].labels, probeMetric)
}

func (g *target) response(status int, body string) *http.Response {
	h := g.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func (g *target) store(points []point) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range points {
		g.samples[p.labels] = append(g.samples[p.labels], p)
		if isProbe([]point{p}) {
			g.ackedAt[p] = time.Now()
		}
	}
}

// query answers the probe's question, metric{run="..."}[Nms] at a time.
func (g *target) query(r *http.Request) string {
	m := regexp.MustCompile(`^` + probeMetric + `\{run=("[^"]+")\}\[(\d+)ms\]$`).FindStringSubmatch(r.FormValue("query"))
	if m == nil {
		g.t.Errorf("the probe asks %q", r.FormValue("query"))
		return `{}`
	}
	window, _ := strconv.ParseInt(m[2], 10, 64)
	seconds, _ := strconv.ParseFloat(r.FormValue("time"), 64)
	end := int64(seconds*1000 + 0.5)
	g.mu.Lock()
	defer g.mu.Unlock()
	var values []string
	for labels, points := range g.samples {
		for _, p := range points {
			if strings.Contains(labels, "run="+m[1]) && p.timeMs > end-window && p.timeMs <= end && time.Since(g.ackedAt[p]) >= g.hidden {
				values = append(values, fmt.Sprintf(`[%d,"%g"]`, p.timeMs/1000, p.value))
			}
		}
	}
	if values == nil {
		return `{"status":"success","data":{"resultType":"matrix","result":[]}}`
	}
	return `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[` + strings.Join(values, ",") + `]}]}}`
}

// benched counts what is stored without the probe's samples.
func (g *target) benched() (samples int) {
	for labels, points := range g.samples {
		if !strings.Contains(labels, probeMetric) {
			samples += len(points)
		}
	}
	return samples
}

// quick are options of a short paced run: 1000 samples/s in requests of 100, for 10 s, without a probe.
func quick() WriteOptions {
	o := DefaultWriteOptions()
	o.URL, o.QueryURL = "http://target.invalid/api/v1/write", "none"
	o.Series, o.Shards, o.SamplesPerRequest = 500, 1, 100
	o.Rate, o.Duration = 1000, 10*time.Second
	return o
}

// runOn runs the options against a target in virtual time.
func runOn(t *testing.T, o WriteOptions, g *target) *WriteReport {
	t.Helper()
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	w, err := newWriter(o, &http.Client{Transport: g, Timeout: requestTimeout})
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPacedRunWritesEverySampleOnce(t *testing.T) {
	for _, protocol := range []string{Protocol1, Protocol2} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := quick()
				o.Protocol, o.Shards = protocol, 3
				g := newTarget(t)
				r := runOn(t, o, g)
				if r.AckedSamples != 10_000 || g.benched() != 10_000 || r.RefusedSamples+r.UnackedSamples+r.Retries != 0 {
					t.Errorf("%d samples acked, %d stored, want 10000: %+v", r.AckedSamples, g.benched(), r)
				}
				if len(g.samples) != o.Series {
					t.Errorf("%d series, want %d", len(g.samples), o.Series)
				}
				for labels, points := range g.samples {
					if len(points) != 20 {
						t.Fatalf("%s has %d samples, want 20", labels, len(points))
					}
					for i := 1; i < len(points); i++ {
						if step := points[i].timeMs - points[i-1].timeMs; step != o.Interval.Milliseconds() {
							t.Fatalf("%s steps by %d ms, want %d", labels, step, o.Interval.Milliseconds())
						}
					}
				}
				if r.Ack.Max != 0 {
					t.Errorf("a target that answers at once has a latency of %v ms", r.Ack.Max)
				}
				if g.metadata == 0 {
					t.Error("no metadata was sent")
				}
				if r.CompleteMs < r.FirstMs || r.CompleteMs > r.LastMs || r.LastMs > time.Now().UnixMilli() || r.NextMs != r.FirstMs+20*15_000 {
					t.Errorf("timestamps %d to %d, complete to %d, next %d, now %d", r.FirstMs, r.LastMs, r.CompleteMs, r.NextMs, time.Now().UnixMilli())
				}
			})
		})
	}
}

func TestRealTimeSamplesAreNeverInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quick()
		o.Rate, o.Start, o.Interval, o.Shards, o.Duration = 0, "now", 5*time.Second, 4, time.Minute
		g := newTarget(t)
		g.answer = func(int, *http.Request) int { return http.StatusNoContent }
		r := runOn(t, o, g)
		if r.Rate != 100 || r.AckedSamples != 6000 {
			t.Errorf("rate %g, %d samples in a minute, want 100 and 6000", r.Rate, r.AckedSamples)
		}
		if r.ReachedPresent {
			t.Error("a timestamp was later than now")
		}
		if age := time.Since(time.UnixMilli(r.LastMs)); age < 0 || age > 15*time.Second {
			t.Errorf("the last sample is %s old", age)
		}
	})
}

func TestFlatOutStopsInTheSameRoundEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quick()
		o.Rate, o.Shards, o.Duration, o.Series = 0, 4, 2*time.Second, 900
		g := newTarget(t)
		g.answer = func(n int, _ *http.Request) int {
			time.Sleep(time.Duration(1+n%7) * time.Millisecond)
			return http.StatusNoContent
		}
		r := runOn(t, o, g)
		counts := map[int]int{}
		for _, points := range g.samples {
			counts[len(points)]++
		}
		if len(counts) != 1 || r.AckedSamples != int64(g.benched()) || r.AckedSamples == 0 {
			t.Errorf("series by their number of samples: %v, want all the same; %d acked, %d stored", counts, r.AckedSamples, g.benched())
		}
		if r.Ack.Max > 7 || r.Ack.P50 < 1 {
			t.Errorf("latencies are %+v, want 1 to 7 ms", r.Ack)
		}
	})
}

func TestFlatOutEndsWhenItReachesThePresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := quick()
		o.Rate, o.Start, o.Shards = 0, "10m", 2
		g := newTarget(t)
		g.answer = func(int, *http.Request) int { time.Sleep(time.Millisecond); return http.StatusNoContent }
		r := runOn(t, o, g)
		if !r.ReachedPresent || r.LastMs > time.Now().UnixMilli() || r.AckedSamples < 15_000 {
			t.Errorf("reached present %v, last timestamp %d, now %d, %d samples", r.ReachedPresent, r.LastMs, time.Now().UnixMilli(), r.AckedSamples)
		}
	})
}

// Of 100 requests at intervals of 100 ms the 11th stalls for 2 s. The 20 behind it were meant to leave meanwhile:
// they wait 1.9 s, 1.8 s, ... A tool that starts its clock when it gets to send would report one slow request.
func TestLatencyCountsFromTheIntendedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget(t)
		g.answer = func(n int, _ *http.Request) int {
			if n == 10 {
				time.Sleep(2 * time.Second)
			}
			return http.StatusNoContent
		}
		o := quick()
		w, err := newWriter(o, &http.Client{Transport: g})
		if err != nil {
			t.Fatal(err)
		}
		var seen tally
		w.began = time.Now()
		w.shard(t.Context(), 0, &seen)
		if len(seen.latencies) != 100 {
			t.Fatalf("%d requests, want 100", len(seen.latencies))
		}
		for n, got := range seen.latencies {
			want := time.Duration(0)
			if n >= 10 && n < 30 {
				want = 2*time.Second - time.Duration(n-10)*100*time.Millisecond
			}
			if got != want {
				t.Errorf("request %d has a latency of %s, want %s", n, got, want)
			}
		}
	})
}

func TestRetriesAsPrometheusDoes(t *testing.T) {
	cases := []struct {
		name            string
		statuses        []int // of the first request's attempts
		header          http.Header
		retries         int64
		refused         int64
		firstLatency    time.Duration
		protocol        string
		everyoneRefused bool
	}{
		{name: "5xx, backed off 30 ms, doubling", statuses: []int{500, 503, 529}, retries: 3, firstLatency: 210 * time.Millisecond},
		{name: "broken connection", statuses: []int{0, 0}, retries: 2, firstLatency: 90 * time.Millisecond},
		{name: "Retry-After", statuses: []int{503}, header: http.Header{"Retry-After": {"2"}}, retries: 1, firstLatency: 2 * time.Second},
		{name: "400 is not retried", statuses: []int{400}, refused: 100},
		{name: "429 is not retried", statuses: []int{429}, refused: 100},
		{name: "2.0 that does not confirm", protocol: Protocol2, header: http.Header{"X-Other": {"1"}}, everyoneRefused: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newTarget(t)
				g.header = c.header
				attempts := []string{}
				g.answer = func(n int, r *http.Request) int {
					if n > len(c.statuses) {
						return http.StatusNoContent
					}
					attempts = append(attempts, r.Header.Get("Retry-Attempt"))
					if n == len(c.statuses) {
						return http.StatusNoContent
					}
					return c.statuses[n]
				}
				o := quick()
				if c.protocol != "" {
					o.Protocol = c.protocol
				}
				r := runOn(t, o, g)
				if c.everyoneRefused {
					if r.AckedSamples != 0 || r.RefusedSamples != 10_000 {
						t.Errorf("%d acked, %d refused, want 0 and 10000", r.AckedSamples, r.RefusedSamples)
					}
					return
				}
				if r.Retries != c.retries || r.RefusedSamples != c.refused || r.AckedSamples != 10_000-c.refused || r.UnackedSamples != 0 {
					t.Errorf("%d retries, %d refused, %d acked, %d not; want %d, %d, the rest and none", r.Retries, r.RefusedSamples, r.AckedSamples, r.UnackedSamples, c.retries, c.refused)
				}
				if int64(g.benched()) != r.AckedSamples {
					t.Errorf("%d samples stored, %d acked", g.benched(), r.AckedSamples)
				}
				if r.Ack.Max != ms(c.firstLatency) {
					t.Errorf("the slowest ack took %v ms, want %s", r.Ack.Max, c.firstLatency)
				}
				for i := range c.retries + 1 {
					want := ""
					if i > 0 {
						want = strconv.FormatInt(i, 10)
					}
					if attempts[i] != want {
						t.Errorf("attempt %d has the header Retry-Attempt %q, want %q", i, attempts[i], want)
					}
				}
				if len(c.statuses) > 0 && len(r.Errors) == 0 {
					t.Error("the report names no error")
				}
			})
		})
	}
}

func TestTargetThatNeverAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget(t)
		g.answer = func(int, *http.Request) int { return 500 }
		r := runOn(t, quick(), g)
		if r.AckedSamples != 0 || r.UnackedSamples != 100 || r.Retries == 0 || r.Errors["status 500: the target says"] == 0 {
			t.Errorf("%d acked, %d not, %d retries, errors %v; want 0, the one request of the one shard, some", r.AckedSamples, r.UnackedSamples, r.Retries, r.Errors)
		}
		if r.Seconds > (10*time.Second + grace).Seconds() {
			t.Errorf("the run took %g s", r.Seconds)
		}
	})
}

func TestProbeMeasuresVisibility(t *testing.T) {
	for _, protocol := range []string{Protocol1, Protocol2} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newTarget(t)
				g.hidden = 730 * time.Millisecond
				o := quick()
				o.QueryURL, o.Protocol = "", protocol
				r := runOn(t, o, g)
				v := r.Visible
				if v == nil || v.Count < 45 || v.Unseen != 0 || v.Failed != 0 {
					t.Fatalf("visibility is %+v, want some 50 probes and all seen", v)
				}
				if v.P50 < 730 || v.Max > 730+ms(o.ProbePoll) || v.NewSeriesMs < 730 || v.NewSeriesMs > 730+ms(o.ProbePoll) {
					t.Errorf("visibility is %+v, want 730 ms and at most one poll more", v)
				}
				if r.AckedSamples != 10_000 {
					t.Errorf("%d samples acked, want 10000: probes do not count", r.AckedSamples)
				}
			})
		})
	}
}

func TestProbesThatStayHiddenAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget(t)
		g.hidden = time.Hour
		o := quick()
		o.QueryURL = ""
		r := runOn(t, o, g)
		if v := r.Visible; v == nil || v.Count != 0 || v.Unseen < 45 {
			t.Errorf("visibility is %+v, want no probe seen and all counted", v)
		}
	})
}

func TestRunsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTarget(t)
		o := quick()
		o.Start = "24h"
		first := runOn(t, o, g)
		o.StartAfter = filepath.Join(t.TempDir(), "first.json")
		if err := writeJSON(o.StartAfter, first); err != nil {
			t.Fatal(err)
		}
		second := runOn(t, o, g)
		for labels, points := range g.samples {
			for i := 1; i < len(points); i++ {
				if step := points[i].timeMs - points[i-1].timeMs; step != o.Interval.Milliseconds() {
					t.Fatalf("%s steps by %d ms at sample %d, want %d", labels, step, i, o.Interval.Milliseconds())
				}
			}
		}
		if second.SamplesOnDisk != 20_000 || second.FirstMs != first.FirstMs {
			t.Errorf("%d samples on disk from %d, want 20000 from %d", second.SamplesOnDisk, second.FirstMs, first.FirstMs)
		}
	})
}

func TestOptionsThatCannotWork(t *testing.T) {
	bad := map[string]func(*WriteOptions){
		"--series":              func(o *WriteOptions) { o.Series = 0 },
		"--shards":              func(o *WriteOptions) { o.Shards = o.Series + 1 },
		"--samples-per-request": func(o *WriteOptions) { o.SamplesPerRequest = 0 },
		"--interval":            func(o *WriteOptions) { o.Interval = time.Microsecond },
		"--rate":                func(o *WriteOptions) { o.Rate = -1 },
		"--duration":            func(o *WriteOptions) { o.Duration = 0 },
		"--probe-poll":          func(o *WriteOptions) { o.ProbePoll = 0 },
		"--protocol":            func(o *WriteOptions) { o.Protocol = "3.0" },
		"--start=now":           func(o *WriteOptions) { o.Start, o.Rate = "now", 5 },
	}
	for name, change := range bad {
		o := DefaultWriteOptions()
		change(&o)
		_, err := RunWrite(context.Background(), o, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v, want one that names it", name, err)
		}
	}
	if o := DefaultWriteOptions(); o.check() != nil {
		t.Errorf("the defaults are refused: %v", o.check())
	}
}
