package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const probeMetric = "metricstream_bench_probe"

// probe measures how long an acknowledged sample takes to become visible: it writes samples of one series, at the
// newest timestamps of the run, and while any is missing it asks for all that are missing with one query of raw
// samples. So a lag is too long by at most the poll interval and the time of a query.
type probe struct {
	w      *writer
	client *http.Client
	base   string
	labels []label

	newSeries time.Duration // until the first sample was visible
	lags      []time.Duration
	unseen    int // acknowledged, but not visible within the grace
	failed    int // not acknowledged
	queries   int
}

type probeSample struct {
	timeMs int64
	value  int64
	acked  time.Time
}

// newProbe returns nil when there is no query API.
func newProbe(w *writer, client *http.Client) *probe {
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

// warm writes the series' first sample and waits until it is visible, so that run measures samples and not what
// it takes to make a series known; that is reported apart.
func (p *probe) warm(ctx context.Context) {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	one := probeSample{timeMs: p.w.line.baseMs}
	if err := p.write(ctx, one); err != nil {
		p.w.note(fmt.Errorf("probe: %w", err))
		return
	}
	for acked := time.Now(); ; {
		seen, err := p.ask(ctx, []probeSample{one})
		if seen[one.value] {
			p.newSeries = time.Since(acked)
			return
		}
		if !sleep(ctx, p.w.o.ProbePoll) {
			p.w.note(fmt.Errorf("probe: the first sample was not visible after %s (%v)", patience, err))
			return
		}
	}
}

// run writes probes until end, then waits for those that are missing until ctx ends.
func (p *probe) run(ctx context.Context, end time.Time) {
	const most = 10_000 // probes that may be missing at once
	sent := make(chan probeSample, most)
	var watcher sync.WaitGroup
	watcher.Go(func() { p.watch(ctx, sent) })
	defer watcher.Wait()
	defer close(sent)
	lastMs := p.w.line.baseMs
	for n := int64(1); time.Now().Before(end) && ctx.Err() == nil; n++ {
		newest := p.w.latestMs.Load()
		lastMs = max(lastMs+1, newest)
		if newest > 0 && lastMs <= time.Now().UnixMilli() {
			one := probeSample{timeMs: lastMs, value: n}
			if err := p.write(ctx, one); err != nil {
				p.failed++
			} else {
				one.acked = time.Now()
				sent <- one
			}
		}
		if !sleep(ctx, time.Until(p.w.began.Add(time.Duration(n)*p.w.o.ProbeInterval))) {
			return
		}
	}
}

func (p *probe) write(ctx context.Context, one probeSample) error {
	s := feed{typ: metadataTypes[gaugeType]}
	symbols := []string{""}
	for _, l := range p.labels {
		s.labelBytes = appendLabel(s.labelBytes, l)
		s.symbols = append(s.symbols, uint32(len(symbols)), uint32(len(symbols)+1))
		symbols = append(symbols, l.name, l.value)
	}
	e := newEncoder(p.w.o.Protocol, symbols)
	e.reset()
	e.add(&s, one.timeMs, float64(one.value))
	compressed, _ := e.request()
	return p.w.send.send(ctx, compressed, 1, func(error) {})
}

// watch asks for missing probes until none is sent any more and none is missing, or ctx ends.
func (p *probe) watch(ctx context.Context, sent <-chan probeSample) {
	var missing []probeSample
	defer func() { p.unseen = len(missing) }()
	for {
		if len(missing) == 0 {
			one, open := <-sent
			if !open {
				return
			}
			missing = append(missing, one)
		}
		for more := true; more; {
			select {
			case one, open := <-sent:
				if more = open; open {
					missing = append(missing, one)
				}
			default:
				more = false
			}
		}
		p.queries++
		seen, err := p.ask(ctx, missing)
		if err != nil {
			p.w.note(fmt.Errorf("probe: %w", err))
		}
		missing = slices.DeleteFunc(missing, func(one probeSample) bool {
			visible := seen[one.value]
			if visible {
				p.lags = append(p.lags, time.Since(one.acked))
			}
			return visible
		})
		if len(missing) > 0 && !sleep(ctx, p.w.o.ProbePoll) {
			return
		}
	}
}

// ask returns the values that are visible at the times of some probes.
func (p *probe) ask(ctx context.Context, probes []probeSample) (map[int64]bool, error) {
	oldest, newest := probes[0].timeMs, probes[len(probes)-1].timeMs
	query := fmt.Sprintf(`%s{run=%q}[%dms]`, probeMetric, p.labels[2].value, newest-oldest+1)
	form := url.Values{"query": {query}, "time": {unixSeconds(newest)}}
	body, err := get(ctx, p.client, p.base, "/api/v1/query", form, p.w.o.QueryParams, p.w.o.Headers)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("cannot read answer to %s: %w", query, err)
	}
	seen := map[int64]bool{}
	for _, r := range answer.Data.Result {
		for _, v := range r.Values {
			text, _ := v[1].(string)
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("answer to %s has the value %v", query, v[1])
			}
			seen[n] = true
		}
	}
	return seen, nil
}

func unixSeconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

// get asks the API and returns the body of an answer of status 200.
func get(ctx context.Context, client *http.Client, base, path string, form url.Values, params, headers map[string]string) ([]byte, error) {
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
