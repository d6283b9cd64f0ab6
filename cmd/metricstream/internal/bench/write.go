package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"
)

// WriteOptions say what [RunWrite] writes, where and how fast. The zero value is not useful; begin with
// [DefaultWriteOptions].
type WriteOptions struct {
	URL         string            // remote-write URL
	QueryURL    string            // base of the query API; empty: scheme and host of URL; "none": no probe
	QueryParams map[string]string // added to every query of the probe
	Headers     map[string]string // added to every request, a tenant's for example

	Protocol          string        // Protocol1 or Protocol2
	Series            int           // number of series
	Seed              uint64        // of labels and values
	Interval          time.Duration // between two timestamps of a series; whole milliseconds
	Rate              float64       // samples/s; 0 is as fast as the target acknowledges
	Duration          time.Duration // how long to write
	Shards            int           // requests in flight
	SamplesPerRequest int

	// Start is the first timestamp: "auto", "now", a duration ago, Unix seconds or RFC 3339. StartAfter is
	// the JSON summary of an earlier run to continue; it wins.
	Start, StartAfter string

	ProbeInterval, ProbePoll time.Duration

	PIDs     []int         // roots of the target's process trees; none: who listens on the URL's port
	Disks    []string      // folders of the target
	Settle   time.Duration // wait after the run before Disks and CPU are read again
	JSONFile string        // receives the report
}

// DefaultWriteOptions returns the defaults of "bench write".
func DefaultWriteOptions() WriteOptions {
	return WriteOptions{
		URL: "http://127.0.0.1:9009/api/v1/write", Protocol: Protocol1, Series: 10_000, Seed: 1, Interval: 15 * time.Second,
		Duration: 30 * time.Second, Shards: 8, SamplesPerRequest: 2000, Start: "auto",
		ProbeInterval: 200 * time.Millisecond, ProbePoll: 50 * time.Millisecond,
	}
}

// check refuses options that cannot work, and fills in the rate of a real-time run.
func (o *WriteOptions) check() error {
	switch {
	case o.Series < 1:
		return fmt.Errorf("--series is %d; want at least 1", o.Series)
	case o.Shards < 1 || o.Shards > o.Series:
		return fmt.Errorf("--shards is %d; want 1 to --series (%d)", o.Shards, o.Series)
	case o.SamplesPerRequest < 1:
		return fmt.Errorf("--samples-per-request is %d; want at least 1", o.SamplesPerRequest)
	case o.Interval < time.Millisecond:
		return fmt.Errorf("--interval is %s; want at least 1ms", o.Interval)
	case o.Rate < 0:
		return fmt.Errorf("--rate is %g; want 0 (flat out) or more", o.Rate)
	case o.Duration <= 0:
		return fmt.Errorf("--duration is %s; want more than 0", o.Duration)
	case o.ProbeInterval <= 0 || o.ProbePoll <= 0:
		return errors.New("--probe-interval and --probe-poll must be more than 0; --query-url=none turns the probe off")
	case o.Protocol != Protocol1 && o.Protocol != Protocol2:
		return fmt.Errorf("--protocol is %q; want %s or %s", o.Protocol, Protocol1, Protocol2)
	}
	if o.Start == "now" && o.StartAfter == "" {
		realTime := float64(o.Series) / o.Interval.Seconds()
		if o.Rate != 0 && o.Rate != realTime {
			return fmt.Errorf("--start=now means a rate of series/interval = %g samples/s; leave --rate out", realTime)
		}
		o.Rate = realTime
	}
	return nil
}

// batchDeadline bounds how long a paced shard collects samples for a request: Prometheus' batch_send_deadline.
const batchDeadline = 5 * time.Second

// lag is how far in scrape time shards may drift apart.
const lag = 10 * time.Minute

// grace is how long requests that are under way at the end may still take.
const grace = 10 * time.Second

// writer is one run of "bench write".
type writer struct {
	o        WriteOptions
	fleet    *fleetSeries
	line     timeline
	send     *sender
	convoy   *convoy
	began    time.Time
	latestMs atomic.Int64 // greatest timestamp that was sent

	mu     sync.Mutex
	errors map[string]int
}

// tally is what a shard has seen. Each belongs to its shard until the run is over.
type tally struct {
	acked, refused, unacked int64
	requests, retries       int64
	wireBytes, rawBytes     int64
	latencies               []time.Duration
	buildCPU                time.Duration
	completeMs              int64 // every sample of the shard up to here was acked
	incomplete              bool
	reachedPresent          bool
}

// RunWrite writes as the options say until the duration is over or ctx ends, prints a summary to out and
// returns the report. It returns an error when it could not measure; that the target refused samples is in
// the report.
func RunWrite(ctx context.Context, o WriteOptions, out io.Writer) (*WriteReport, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("cannot start bench write: %w", err)
	}
	var after *WriteReport
	if o.StartAfter != "" {
		var err error
		if after, err = readWriteReport(o.StartAfter); err != nil {
			return nil, err
		}
	}
	w := &writer{o: o, fleet: newFleet(o.Seed, o.Series), errors: map[string]int{}}
	client := newClient(o.Shards + 2)
	defer client.CloseIdleConnections()
	w.send = newSender(&o, client)
	w.convoy = newConvoy(o.Shards, max(2, int64(lag/o.Interval)))
	if o.Rate > 0 {
		w.convoy.end = max(1, int64(o.Duration.Seconds()*o.Rate/float64(o.Series)))
	}
	meter, err := newMeter(&o)
	if err != nil {
		return nil, err
	}
	if w.line, err = newTimeline(&o, after, time.Now()); err != nil {
		return nil, err
	}
	report, err := w.run(ctx, client, meter, after)
	if err != nil {
		return nil, err
	}
	report.print(out)
	return report, writeJSON(o.JSONFile, report)
}

func (w *writer) run(ctx context.Context, client clientDoer, meter *meter, after *WriteReport) (*WriteReport, error) {
	w.sendMetadata(ctx)
	w.began = time.Now() // names the probe's series
	probe := newProbe(w, client)
	if probe != nil {
		probe.warm(ctx)
	}
	if err := meter.start(); err != nil {
		return nil, err
	}
	w.began = time.Now()
	if w.o.Start == "now" && w.o.StartAfter == "" {
		w.line.baseMs = w.began.UnixMilli()
	}
	sendCtx, cancelSend := context.WithDeadline(ctx, w.began.Add(w.o.Duration+grace))
	defer cancelSend()
	tallies := make([]tally, w.o.Shards)
	var shards, helpers sync.WaitGroup
	done := make(chan struct{})
	for i := range tallies {
		shards.Go(func() { w.shard(sendCtx, i, &tallies[i]) })
	}
	helpers.Go(func() { meter.watch(done) })
	if probe != nil {
		helpers.Go(func() { probe.run(sendCtx, w.began.Add(w.o.Duration)) })
	}
	end := time.AfterFunc(w.o.Duration, w.convoy.finish)
	defer end.Stop()
	shards.Wait()
	took := time.Since(w.began)
	close(done)
	own := meter.ownCPUSoFar()
	helpers.Wait()
	report := w.report(took, tallies, probe, after)
	return report, meter.finish(ctx, report, own)
}

// shard sends the samples of every Shards-th series, one request at a time, round after round of scrapes.
func (w *writer) shard(ctx context.Context, shard int, t *tally) {
	defer w.convoy.leave(shard)
	mine := w.fleet.shard(shard, w.o.Shards)
	p := newPace(&w.o, shard, len(mine), w.began)
	s := &stream{w: w, shard: shard, series: mine, encoder: newEncoder(w.o.Protocol, w.fleet.symbols)}
	for n := int64(0); ctx.Err() == nil; n++ {
		r, err := s.build(ctx, p.samples, t)
		if err != nil || r.samples == 0 {
			return
		}
		var paced bool
		if r.from, paced = p.intended(n); paced && !sleep(ctx, time.Until(r.from)) {
			return
		}
		if r.lastMs > time.Now().UnixMilli() {
			w.convoy.finish()
			t.reachedPresent = true
			return
		}
		w.deliver(ctx, r, t)
	}
}

// deliver sends one request. Paced, latency counts from the moment when the request was meant to leave: when the
// target stalls, the requests that had to wait behind the stall count their waiting (no coordinated omission). Flat
// out there is no such moment, and it counts from the first attempt.
func (w *writer) deliver(ctx context.Context, r request, t *tally) {
	if r.from.IsZero() {
		r.from = time.Now()
	}
	w.advance(r.lastMs)
	err := w.send.send(ctx, r.compressed, r.samples, func(err error) {
		t.retries++
		w.note(err)
	})
	t.requests++
	t.wireBytes += int64(len(r.compressed))
	t.rawBytes += int64(r.rawBytes)
	var no *refusal
	switch {
	case err == nil:
		t.latencies = append(t.latencies, time.Since(r.from))
		t.acked += int64(r.samples)
	case errors.As(err, &no):
		w.note(err)
		t.refused += int64(r.samples)
	default:
		t.unacked += int64(r.samples)
	}
	t.incomplete = t.incomplete || err != nil
	if !t.incomplete {
		t.completeMs = r.lastMs
	}
}

func (w *writer) advance(ms int64) {
	for {
		old := w.latestMs.Load()
		if ms <= old || w.latestMs.CompareAndSwap(old, ms) {
			return
		}
	}
}

// note counts an error by its text.
func (w *writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const most = 20
	if text := err.Error(); len(w.errors) < most || w.errors[text] > 0 {
		w.errors[text]++
	} else {
		w.errors["other"]++
	}
}

// sendMetadata does once what a 1.0 sender does every minute; 2.0 carries metadata with the series.
func (w *writer) sendMetadata(ctx context.Context) {
	if w.o.Protocol != Protocol1 {
		return
	}
	var raw []byte
	for _, m := range w.fleet.families {
		raw = appendMetadata1(raw, m)
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := w.send.send(ctx, snappy.Encode(nil, raw), 0, w.note); err != nil {
		w.note(fmt.Errorf("metadata: %w", err))
	}
}
