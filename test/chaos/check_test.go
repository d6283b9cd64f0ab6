package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// result is one series of a matrix.
type result struct {
	Metric     map[string]string
	Value      [2]json.RawMessage
	Values     [][2]json.RawMessage
	Histograms [][2]json.RawMessage
}

// query asks for an instant, in ms, and returns the series.
func query(server, expr string, atMs int64) ([]result, error) {
	params := url.Values{"query": {expr}, "time": {strconv.FormatFloat(float64(atMs)/1000, 'f', 3, 64)}, "timeout": {"60s"}}
	resp, err := client.Get(server + "/api/v1/query?" + params.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var envelope struct {
		Status, Error string
		Data          struct{ Result []result }
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", resp.Status, body, err)
	}
	if envelope.Status != "success" {
		return nil, fmt.Errorf("%s: %s", resp.Status, envelope.Error)
	}
	return envelope.Data.Result, nil
}

// number is the one value of a query, 0 for no series.
func number(server, expr string, atMs int64) (float64, error) {
	got, err := query(server, expr, atMs)
	if err != nil || len(got) == 0 {
		return 0, err
	}
	var text string
	if err := json.Unmarshal(got[0].Value[1], &text); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// verify compares everything that is visible with everything that was acknowledged. All of it was: the writers
// have finished. So nothing may be missing, and nothing may be beyond.
func verify(t *testing.T, server string, l *load, table *table) {
	t.Helper()
	end, window := l.baseMs+(days+1)*dayMs, fmt.Sprintf("[%dd]", days+2)
	points := map[string]int{}
	sums := map[string]float64{}
	for b := range l.acked {
		points[b.label]++
		for i := range floatSeries {
			for d := range days {
				sums[b.label] += value(b, i, d)
			}
		}
	}
	// Lag is no loss: wait until the count is right. What does not come is counted below.
	await(func() error {
		labels := strings.Join(slices.Collect(maps.Keys(points)), "|")
		visible, err := number(server, fmt.Sprintf(`sum(count_over_time({__name__=~"chaos|chaos_histogram",point=~%q}%s))`, labels, window), end)
		if err == nil && visible < float64(len(l.acked)*perRequest) {
			err = fmt.Errorf("%v of %d samples", visible, len(l.acked)*perRequest)
		}
		return err
	})
	complain := budget(t, 10)
	for label, requests := range points {
		table.row(label).acked += requests * perRequest
		visible, err := number(server, fmt.Sprintf(`sum(count_over_time({__name__=~"chaos|chaos_histogram",point=%q}%s))`, label, window), end)
		if err != nil {
			t.Errorf("%s: %v", label, err)
		}
		sum, err := number(server, fmt.Sprintf("sum(sum_over_time(chaos{point=%q}%s))", label, window), end)
		if err != nil || visible != float64(requests*perRequest) || sum != sums[label] {
			t.Errorf("%s: the count is %v, acknowledged were %d; the sum is %v, should be %v; %v", label, visible, requests*perRequest, sum, sums[label], err)
		}
		for w := range writers {
			verifyWriter(t, server, l, label, w, window, end, table.row(label), complain)
		}
	}
}

// sample is where a sample belongs: its metric and series, and its time.
type sample struct {
	name string
	i    int
	ms   int64
}

// verifyWriter compares one writer's samples one by one.
func verifyWriter(t *testing.T, server string, l *load, label string, writer int, window string, end int64, row *row, complain func(string, ...any)) {
	t.Helper()
	want := map[sample]string{}
	for b := range l.acked {
		if b.label != label || b.writer != writer {
			continue
		}
		for d := range days {
			for i := range floatSeries {
				want[sample{"chaos", i, l.timeMs(b, d)}] = strconv.FormatFloat(value(b, i, d), 'f', -1, 64)
			}
			n := histogramCount(b, d)
			for i := range histograms {
				want[sample{"chaos_histogram", floatSeries + i, l.timeMs(b, d)}] = fmt.Sprintf(`{"count":"%v","sum":"%v","buckets":[[0,"0.5","1","%v"]]}`, n, n/2, n)
			}
		}
	}
	got, err := query(server, fmt.Sprintf(`{__name__=~"chaos|chaos_histogram",point=%q,writer="%d"}%s`, label, writer, window), end)
	if err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	seen := map[sample]int{}
	for _, s := range got {
		i, _ := strconv.Atoi(s.Metric["i"])
		for _, p := range append(s.Values, s.Histograms...) {
			var seconds float64
			_ = json.Unmarshal(p[0], &seconds)
			at := sample{s.Metric["__name__"], i, int64(math.Round(seconds * 1000))}
			seen[at]++
			if is := strings.Trim(string(p[1]), `"`); is != want[at] {
				row.wrong++
				complain("%s, writer %d: %v is %s, written was %s", label, writer, at, is, want[at])
			}
		}
	}
	for at := range want {
		switch n := seen[at]; {
		case n == 0:
			row.lost++
			complain("%s, writer %d: %v was acknowledged and is not there", label, writer, at)
		case n > 1:
			row.doubled++
			complain("%s, writer %d: %v is there %d times", label, writer, at, n)
		}
	}
}

// budget is t.Errorf that prints the first n only; the rest still fail.
func budget(t *testing.T, n int) func(format string, args ...any) {
	return func(format string, args ...any) {
		if n--; n >= 0 {
			t.Errorf(format, args...)
			return
		}
		t.Fail()
	}
}
