package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"
)

// batchDeadline bounds how long a paced shard collects samples for a request: Prometheus' batch_send_deadline.
const batchDeadline = 5 * time.Second

// lag is how far in scrape time shards may drift apart.
const lag = 10 * time.Minute

// grace is how long requests that are under way at the end may still take.
const grace = 10 * time.Second

// writer is one run of "bench write".
type writer struct {
	o        WriteOptions
	after    *WriteReport // the run that this one continues, or nil
	client   *http.Client
	meter    *meter
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
	var err error
	if o.Headers, err = withKey(o.Headers, o.KeyFile); err != nil {
		return nil, err
	}
	client := newClient(o.Shards + 2)
	defer client.CloseIdleConnections()
	w, err := newWriter(o, client)
	if err != nil {
		return nil, err
	}
	report, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	report.print(out)
	return report, writeJSON(o.JSONFile, report)
}

// newWriter prepares a run; nothing is sent.
func newWriter(o WriteOptions, client *http.Client) (*writer, error) {
	w := &writer{o: o, client: client, send: newSender(&o, client), errors: map[string]int{}}
	var err error
	if o.StartAfter != "" {
		if w.after, err = readWriteReport(o.StartAfter); err != nil {
			return nil, err
		}
	}
	if w.line, err = newTimeline(&o, w.after, time.Now()); err != nil {
		return nil, err
	}
	if w.meter, err = newMeter(&o); err != nil {
		return nil, err
	}
	w.fleet = newFleet(o.Seed, o.Series)
	w.convoy = newConvoy(o.Shards, max(2, int64(lag/o.Interval)))
	if o.Rate > 0 {
		w.convoy.end = max(1, int64(o.Duration.Seconds()*o.Rate/float64(o.Series)))
	}
	return w, nil
}

func (w *writer) run(ctx context.Context) (*WriteReport, error) {
	w.sendMetadata(ctx)
	w.began = time.Now() // names the probe's series
	probe := newProbe(w, w.client)
	if probe != nil {
		probe.warm(ctx)
	}
	if err := w.meter.start(); err != nil {
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
	helpers.Go(func() { w.meter.watch(done) })
	if probe != nil {
		helpers.Go(func() { probe.run(sendCtx, w.began.Add(w.o.Duration)) })
	}
	end := time.AfterFunc(w.o.Duration, w.convoy.finish)
	defer end.Stop()
	shards.Wait()
	took := time.Since(w.began)
	close(done)
	own := w.meter.ownCPUSoFar()
	helpers.Wait()
	report := w.report(took, tallies, probe)
	return report, w.meter.finish(ctx, report, own)
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
