package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Back-off and timeout are Prometheus' defaults.
const (
	minBackoff     = 30 * time.Millisecond
	maxBackoff     = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// sender posts remote-write requests. It may be used by several goroutines.
type sender struct {
	client   *http.Client
	url      string
	protocol string
	headers  map[string]string
}

func newSender(o *WriteOptions, client *http.Client) *sender {
	return &sender{client: client, url: o.URL, protocol: o.Protocol, headers: o.Headers}
}

// newClient keeps a connection open for every request in flight.
func newClient(connections int) *http.Client {
	return &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: 0, DisableCompression: true, WriteBufferSize: 64 << 10,
	}}
}

// refusal is an answer that Prometheus does not retry.
type refusal struct{ msg string }

func (r *refusal) Error() string { return r.msg }

// retryable is a failure that Prometheus retries, after the time that the target asked for.
type retryable struct {
	msg   string
	after time.Duration
}

func (r *retryable) Error() string { return r.msg }

// send posts until the target acknowledges or refuses, or until ctx ends, as Prometheus does: network errors
// and 5xx are retried, all else, 429 included, is not. samples is what a 2.0 answer must confirm.
// onRetry hears of every failed attempt. When send returns nothing reads compressed any more.
func (s *sender) send(ctx context.Context, compressed []byte, samples int, onRetry func(error)) error {
	backoff := minBackoff
	for attempt := 0; ; attempt++ {
		err := s.post(ctx, compressed, samples, attempt)
		again, ok := err.(*retryable)
		if !ok {
			return err
		}
		onRetry(err)
		pause := backoff
		if again.after > 0 {
			pause = again.after
		}
		if !sleep(ctx, pause) {
			return err
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (s *sender) post(ctx context.Context, compressed []byte, samples, attempt int) error {
	body := &sendBody{Reader: bytes.NewReader(compressed), closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, body)
	if err != nil {
		return fmt.Errorf("cannot build request to %s: %w", s.url, err)
	}
	req.ContentLength = int64(len(compressed))
	s.setHeaders(req.Header, attempt)
	resp, err := s.client.Do(req)
	// The transport may still be sending when the answer is there; the caller writes over the bytes next.
	<-body.closed
	if err != nil {
		return &retryable{msg: err.Error()}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return s.verdict(resp, text, samples)
}

func (s *sender) setHeaders(h http.Header, attempt int) {
	h.Set("Content-Encoding", "snappy")
	h.Set("Content-Type", "application/x-protobuf")
	h.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	if s.protocol == Protocol2 {
		h.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		h.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
	h.Set("User-Agent", "metricstream-bench")
	if attempt > 0 {
		h.Set("Retry-Attempt", strconv.Itoa(attempt))
	}
	for k, v := range s.headers {
		h.Set(k, v)
	}
}

func (s *sender) verdict(resp *http.Response, text []byte, samples int) error {
	switch {
	case resp.StatusCode/100 == 2:
		if s.protocol != Protocol2 || samples == 0 {
			return nil
		}
		written := resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written")
		if written != strconv.Itoa(samples) {
			return &refusal{fmt.Sprintf("status %d, but header X-Prometheus-Remote-Write-Samples-Written is %q for %d samples", resp.StatusCode, written, samples)}
		}
		return nil
	case resp.StatusCode/100 == 5:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &retryable{msg: fmt.Sprintf("status %d: %s", resp.StatusCode, firstLine(text)), after: time.Duration(after) * time.Second}
	default:
		return &refusal{fmt.Sprintf("status %d: %s", resp.StatusCode, firstLine(text))}
	}
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line[:min(len(line), 200)])
}

// sendBody tells when the transport has let go of it.
type sendBody struct {
	*bytes.Reader
	once   sync.Once
	closed chan struct{}
}

func (b *sendBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
