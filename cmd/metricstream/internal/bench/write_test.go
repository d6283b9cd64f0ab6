package bench

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
