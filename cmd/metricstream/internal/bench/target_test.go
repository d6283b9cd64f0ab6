package bench

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
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
