package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// QueryOptions say what [RunQuery] asks, and whom. The zero value is not useful; begin with
// [DefaultQueryOptions].
type QueryOptions struct {
	URL         string // base URL of the Prometheus API
	Written     string // JSON summary of the bench write whose series are queried
	QueryParams map[string]string
	Headers     map[string]string
	KeyFile     string // as of the writes

	Concurrency  int           // of the second pass; the first has 1
	TimePerQuery time.Duration // how long each kind of query is repeated
	MaxPerQuery  int           // and how often at most
	Range, Step  time.Duration
	JSONFile     string
}

// DefaultQueryOptions returns the defaults of "bench query".
func DefaultQueryOptions() QueryOptions {
	return QueryOptions{
		URL: "http://127.0.0.1:9009", Concurrency: 4, TimePerQuery: time.Second, MaxPerQuery: 200, Range: time.Hour, Step: 30 * time.Second,
	}
}

func (o *QueryOptions) check() error {
	switch {
	case o.Written == "":
		return errors.New("--written is missing; it names the --json file of a bench write")
	case o.Concurrency < 1:
		return fmt.Errorf("--concurrency is %d; want at least 1", o.Concurrency)
	case o.MaxPerQuery < 1 || o.TimePerQuery <= 0:
		return errors.New("--max-per-query and --time-per-query must be more than 0")
	case o.Step < time.Second || o.Step%time.Second != 0:
		return fmt.Errorf("--step is %s; want whole seconds", o.Step)
	}
	return nil
}

// QueryReport is the summary of [RunQuery].
type QueryReport struct {
	URL     string        `json:"url"`
	RangeMs int64         `json:"range_ms"` // of the range queries, after shortening
	StepMs  int64         `json:"step_ms"`
	Results []QueryResult `json:"results"`
}

// QueryResult is what one kind of query took in one pass.
type QueryResult struct {
	Query       string `json:"query"`
	Concurrency int    `json:"concurrency"`
	Latency
	PerSecond float64 `json:"per_second"`
	Bytes     int64   `json:"bytes_per_answer"`
	// Failed answers had an error or not what was written. FirstFailure is one of them.
	Failed       int    `json:"failed"`
	FirstFailure string `json:"first_failure,omitempty"`
}

// RunQuery asks every kind of query one at a time and then Concurrency at a time, checks the answers against
// what was written, prints a summary to out and returns the report. Wrong answers are in the report; the error
// says that nothing could be measured.
func RunQuery(ctx context.Context, o QueryOptions, out io.Writer) (*QueryReport, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("cannot start bench query: %w", err)
	}
	var err error
	if o.Headers, err = withKey(o.Headers, o.KeyFile); err != nil {
		return nil, err
	}
	written, err := readWriteReport(o.Written)
	if err != nil {
		return nil, err
	}
	q, err := newQuestionnaire(&o, written)
	if err != nil {
		return nil, err
	}
	client := newClient(o.Concurrency)
	defer client.CloseIdleConnections()
	report := &QueryReport{URL: o.URL, RangeMs: q.span().Milliseconds(), StepMs: o.Step.Milliseconds()}
	fmt.Fprintf(out, "%s, ranges of %s in steps of %s\n%-34s %4s %8s %10s %10s %10s %8s\n", o.URL, q.span(), o.Step, "query", "conc", "answers", "p50 ms", "p99 ms", "per s", "failed")
	for _, concurrency := range passes(o.Concurrency) {
		for _, question := range q.questions() {
			r := ask(ctx, client, &o, question, concurrency)
			report.Results = append(report.Results, r)
			fmt.Fprintf(out, "%-34s %4d %8d %10.2f %10.2f %10.1f %8d %s\n", r.Query, r.Concurrency, r.Count, r.P50, r.P99, r.PerSecond, r.Failed, r.FirstFailure)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return report, writeJSON(o.JSONFile, report)
}

func passes(concurrency int) []int {
	if concurrency == 1 {
		return []int{1}
	}
	return []int{1, concurrency}
}

// few is how many answers there are at least of each kind, however long they take.
func (o *QueryOptions) few(concurrency int) int { return min(o.MaxPerQuery, 10+concurrency) }

// ask repeats one question. Latency counts until the last byte of the answer; reading it is not in it.
func ask(ctx context.Context, client *http.Client, o *QueryOptions, q question, concurrency int) QueryResult {
	result := QueryResult{Query: q.name, Concurrency: concurrency}
	var mu sync.Mutex
	var latencies []time.Duration
	var askers sync.WaitGroup
	var next atomic.Int64
	began := time.Now()
	for range concurrency {
		askers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= o.MaxPerQuery || i >= o.few(concurrency) && time.Since(began) > o.TimePerQuery {
					return
				}
				sent := time.Now()
				body, err := get(ctx, client, o.URL, q.path, q.form(i), o.QueryParams, o.Headers)
				took := time.Since(sent)
				if err == nil {
					err = q.check(body, i)
				}
				mu.Lock()
				latencies = append(latencies, took)
				result.Bytes = max(result.Bytes, int64(len(body)))
				if err != nil {
					result.fail(err)
				}
				mu.Unlock()
			}
		})
	}
	askers.Wait()
	result.PerSecond = float64(len(latencies)) / time.Since(began).Seconds()
	result.Latency = newLatency(latencies)
	return result
}

func (r *QueryResult) fail(err error) {
	r.Failed++
	if r.FirstFailure == "" {
		r.FirstFailure = err.Error()
	}
}

// largeAnswer is where reading an answer begins to cost enough to disturb what is measured beside it.
const largeAnswer = 256 << 10

// check compares an answer with what was written. Of the large answers only the first is read whole; in the others
// the results are counted.
func (q *question) check(body []byte, repetition int) error {
	if q.points > 0 && repetition > 0 && len(body) > largeAnswer {
		if n := bytes.Count(body, []byte(`"metric":`)); n != q.series {
			return fmt.Errorf("%d results, want %d", n, q.series)
		}
		return nil
	}
	var answer struct {
		Status string
		Data   json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("cannot read answer: %w", err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("status is %q", answer.Status)
	}
	series, points, err := countAnswer(answer.Data)
	if err != nil {
		return err
	}
	if series != q.series {
		return fmt.Errorf("%d results, want %d", series, q.series)
	}
	if q.points > 0 && points != q.points {
		return fmt.Errorf("%d points, want %d", points, q.points)
	}
	return nil
}

// countAnswer counts the results and points in the data of an answer: a vector, a matrix, or a list.
func countAnswer(data json.RawMessage) (series, points int, err error) {
	if len(data) > 0 && data[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return 0, 0, fmt.Errorf("cannot read list: %w", err)
		}
		return len(list), 0, nil
	}
	var result struct {
		Result []struct {
			Value  json.RawMessage
			Values []json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &result); err != nil {
		return 0, 0, fmt.Errorf("cannot read result: %w", err)
	}
	for _, r := range result.Result {
		points += len(r.Values)
		if len(r.Value) > 0 {
			points++
		}
	}
	return len(result.Result), points, nil
}
