package bench

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

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
