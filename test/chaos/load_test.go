package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

const (
	writers      = 4 // two by Remote Write 1.0, two by 2.0 with start timestamps
	floatSeries  = 8
	histograms   = 2 // one of integers, one of floats
	days         = 3
	stepMs       = 250
	dayMs        = 24 * 60 * 60 * 1000
	perRequest   = (floatSeries + histograms) * days
	betweenSends = 40 * time.Millisecond
)

// load writes known samples to one receiver, whatever happens to it, exactly as a sender does: a request that was
// not answered with 2xx is sent again, the same bytes, until it is.
type load struct {
	url    string
	baseMs int64
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	label   string
	acked   map[batch]bool
	refused int // answers 503
	fatal   error
}

// batch names one request: its samples follow from it.
type batch struct {
	label  string
	writer int
	step   int
}

// startLoad starts the writers, whose first samples carry a label, as after mark. They end by finish.
func startLoad(t *testing.T, address, label string) *load {
	midnight := time.Now().UnixMilli() / dayMs * dayMs
	ctx, stop := context.WithCancel(context.Background())
	l := &load{url: "http://" + address + "/api/v1/write", baseMs: midnight - days*dayMs, stop: stop, label: label, acked: map[batch]bool{}}
	for w := range writers {
		l.wg.Go(func() { l.write(ctx, w) })
	}
	t.Cleanup(func() { stop() })
	return l
}

// mark gives the samples that are made from now on a label, by which the table tells what became of them.
func (l *load) mark(label string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.label = label
}

// finish waits until every request that was begun is acknowledged.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatal("the last requests were not acknowledged in time")
	}
	if l.fatal != nil {
		t.Fatal(l.fatal)
	}
}

// progress returns the number of requests that are acknowledged.
func (l *load) progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *load) write(ctx context.Context, writer int) {
	for step := 0; ctx.Err() == nil; step++ {
		l.mu.Lock()
		b := batch{l.label, writer, step}
		l.mu.Unlock()
		body := l.encode(b)
		for !l.send(b, body) { // not ended by ctx: what was begun is acknowledged
			time.Sleep(2 * betweenSends)
		}
		time.Sleep(betweenSends)
	}
}

// client has a time limit as senders have.
var client = &http.Client{Timeout: 20 * time.Second}

// send tells whether the request is done with.
func (l *load) send(b batch, body []byte) bool {
	r, err := http.NewRequest(http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", contentType(b))
	r.Header.Set("Content-Encoding", "snappy")
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case resp.StatusCode/100 == 2:
		l.acked[b] = true
		return true
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "":
		l.fatal = fmt.Errorf("503 without Retry-After: %s", text)
		return false
	case resp.StatusCode == http.StatusServiceUnavailable:
		l.refused++
		return false
	case resp.StatusCode/100 == 5:
		return false
	}
	l.fatal = fmt.Errorf("a good request was refused: %s: %s", resp.Status, text)
	return true
}

func (l *load) timeMs(b batch, day int) int64 {
	return l.baseMs + int64(day)*dayMs + int64(b.step)*stepMs
}

// value has from no to three decimals; sums of such values are exact.
func value(b batch, i, day int) float64 {
	h := uint32(b.writer*7919+i*104729+day*1299709+b.step*31) * 2654435761
	return float64(h%800_000) / 8
}

func histogramCount(b batch, day int) float64 { return float64(b.step%1000 + day + 1) }
