package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/golang/snappy"
)

const probeMetric = "metricstream_bench_probe"

// probe measures how long an acknowledged sample takes to become visible: it writes samples of one series, at the
// newest timestamp of the run, and asks for each at exactly its time until the answer has its value. It asks for
// the oldest that is missing first, so what it sees is late by at most the poll interval, and by the time of one
// query for each probe that became visible at once.
type probe struct {
	w      *writer
	client clientDoer
	base   string
	labels []label

	lags    []time.Duration
	unseen  int // acknowledged, but not visible within the grace
	failed  int // not acknowledged
	queries int
}

type probeSample struct {
	timeMs int64
	value  int64
	acked  time.Time
}

// newProbe returns nil when there is no query API.
func newProbe(w *writer, client clientDoer) *probe {
	base := w.o.QueryURL
	if base == "none" {
		return nil
	}
	if base == "" {
		u, err := url.Parse(w.o.URL)
		if err != nil {
			return nil
		}
		base = u.Scheme + "://" + u.Host
	}
	return &probe{w: w, client: client, base: base, labels: []label{
		{"__name__", probeMetric}, {"job", "bench"}, {"run", strconv.FormatInt(w.began.UnixNano(), 36)},
	}}
}

// run writes probes until end, then waits for those that are missing.
func (p *probe) run(ctx context.Context, end time.Time) {
	const most = 10_000 // probes that may be missing at once
	sent := make(chan probeSample, most)
	var watcher sync.WaitGroup
	watcher.Go(func() { p.watch(ctx, sent) })
	defer watcher.Wait()
	defer close(sent)
	lastMs := int64(0)
	for n := int64(1); time.Now().Before(end) && ctx.Err() == nil; n++ {
		lastMs = max(lastMs+1, p.w.latestMs.Load())
		one := probeSample{timeMs: lastMs, value: n}
		if p.w.latestMs.Load() > 0 && lastMs <= time.Now().UnixMilli() {
			if err := p.write(ctx, one); err != nil {
				p.failed++
			} else {
				one.acked = time.Now()
				select {
				case sent <- one:
				default:
				}
			}
		}
		if !sleep(ctx, time.Until(p.w.began.Add(time.Duration(n)*p.w.o.ProbeInterval))) {
			return
		}
	}
}

func (p *probe) write(ctx context.Context, one probeSample) error {
	s := series{typ: metadataTypes[gaugeType]}
	symbols := []string{""}
	for _, l := range p.labels {
		s.labelBytes = appendLabel(s.labelBytes, l)
		s.symbols = append(s.symbols, uint32(len(symbols)), uint32(len(symbols)+1))
		symbols = append(symbols, l.name, l.value)
	}
	e := newEncoder(p.w.o.Protocol, symbols)
	e.reset()
	e.add(&s, one.timeMs, float64(one.value))
	return p.w.send.send(ctx, snappy.Encode(nil, e.body()), 1, func(error) {})
}

func (p *probe) watch(ctx context.Context, sent <-chan probeSample) {
	for one := range sent {
		if p.await(ctx, one) {
			p.lags = append(p.lags, time.Since(one.acked))
		} else {
			p.unseen++
		}
	}
}

func (p *probe) await(ctx context.Context, one probeSample) bool {
	for {
		p.queries++
		if seen, err := p.visible(ctx, one); err != nil {
			p.w.note(fmt.Errorf("probe: %w", err))
		} else if seen {
			return true
		}
		if !sleep(ctx, p.w.o.ProbePoll) {
			return false
		}
	}
}

func (p *probe) visible(ctx context.Context, one probeSample) (bool, error) {
	query := fmt.Sprintf(`%s{run=%q}`, probeMetric, p.labels[2].value)
	form := url.Values{"query": {query}, "time": {unixSeconds(one.timeMs)}}
	body, err := get(ctx, p.client, p.base, "/api/v1/query", form, p.w.o.QueryParams, p.w.o.Headers)
	if err != nil {
		return false, err
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("cannot read answer to %s: %w", query, err)
	}
	return len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == strconv.FormatInt(one.value, 10), nil
}

func unixSeconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

// get asks the API and returns the body of an answer of status 200.
func get(ctx context.Context, client clientDoer, base, path string, form url.Values, params, headers map[string]string) ([]byte, error) {
	for k, v := range params {
		form.Set(k, v)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path+"?"+form.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot build query to %s: %w", base, err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot query %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read answer of %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered status %d: %s", path, resp.StatusCode, firstLine(body))
	}
	return body, nil
}
