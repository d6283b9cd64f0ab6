package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"testing"
	"time"
)

// series is one series of an answer: its labels as one sortable string, its points in order of time.
type series struct {
	labels string
	points []point
}

type point struct {
	time  float64
	value string
}

// answer is what /api/v1/query or query_range said, in a form that two servers' answers can be compared in.
type answer struct {
	kind   string
	series []series
}

// ask sends a GET with headers to an API endpoint and decodes the envelope's data into out.
func ask(server, path string, params url.Values, out any, headers ...string) error {
	r, err := http.NewRequest(http.MethodGet, server+path+"?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var envelope struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return fmt.Errorf("%s: %s: %w", resp.Status, body, err)
	}
	if envelope.Status != "success" {
		return fmt.Errorf("%s: %s", resp.Status, envelope.Error)
	}
	return json.Unmarshal(envelope.Data, out)
}

func instant(server, expr string, at float64) (answer, error) {
	return query(server, "/api/v1/query", url.Values{"query": {expr}, "time": {seconds(at)}})
}

func ranged(server, expr string, start, end, step float64) (answer, error) {
	return query(server, "/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {seconds(step)}})
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func query(server, path string, params url.Values, headers ...string) (answer, error) {
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := ask(server, path, params, &data, headers...); err != nil {
		return answer{}, err
	}
	a := answer{kind: data.ResultType}
	if data.ResultType == "scalar" || data.ResultType == "string" {
		p, err := decodePoint(data.Result)
		a.series = []series{{points: []point{p}}}
		return a, err
	}
	var result []struct {
		Metric                               map[string]string
		Value, Histogram, Values, Histograms json.RawMessage
	}
	if err := json.Unmarshal(data.Result, &result); err != nil {
		return a, err
	}
	for _, r := range result {
		labels, err := json.Marshal(r.Metric) // sorted by name
		if err != nil {
			return a, err
		}
		s := series{labels: string(labels)}
		for _, one := range []json.RawMessage{r.Value, r.Histogram} {
			if one == nil {
				continue
			}
			p, err := decodePoint(one)
			if err != nil {
				return a, err
			}
			s.points = append(s.points, p)
		}
		for _, many := range []json.RawMessage{r.Values, r.Histograms} {
			if many == nil {
				continue
			}
			var raw []json.RawMessage
			if err := json.Unmarshal(many, &raw); err != nil {
				return a, err
			}
			for _, one := range raw {
				p, err := decodePoint(one)
				if err != nil {
					return a, err
				}
				s.points = append(s.points, p)
			}
		}
		a.series = append(a.series, s)
	}
	sort.Slice(a.series, func(i, j int) bool { return a.series[i].labels < a.series[j].labels })
	return a, nil
}

// decodePoint reads [time, value]; the value of a histogram is its JSON text.
func decodePoint(raw json.RawMessage) (point, error) {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return point{}, err
	}
	var p point
	if err := json.Unmarshal(pair[0], &p.time); err != nil {
		return point{}, err
	}
	if err := json.Unmarshal(pair[1], &p.value); err != nil {
		p.value = string(pair[1])
	}
	return p, nil
}

// difference says where two answers differ by more than 1e-12 of a value, or "".
func difference(got, want answer) string {
	if got.kind != want.kind {
		return fmt.Sprintf("result type %s, want %s", got.kind, want.kind)
	}
	if len(got.series) != len(want.series) {
		return fmt.Sprintf("%d series, want %d", len(got.series), len(want.series))
	}
	for i, w := range want.series {
		g := got.series[i]
		if g.labels != w.labels {
			return fmt.Sprintf("series %s, want %s", g.labels, w.labels)
		}
		if len(g.points) != len(w.points) {
			return fmt.Sprintf("%s: %d points, want %d", w.labels, len(g.points), len(w.points))
		}
		for j, wp := range w.points {
			if gp := g.points[j]; gp.time != wp.time || !sameValue(gp.value, wp.value) {
				return fmt.Sprintf("%s: %v, want %v", w.labels, gp, wp)
			}
		}
	}
	return ""
}

func sameValue(got, want string) bool {
	if got == want {
		return true
	}
	g, gErr := strconv.ParseFloat(got, 64)
	w, wErr := strconv.ParseFloat(want, 64)
	return gErr == nil && wErr == nil && math.Abs(g-w) <= 1e-12*math.Abs(w)
}

// eventually polls a condition.
func eventually(t *testing.T, limit time.Duration, what string, condition func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %s: %v", limit, what, err)
}
