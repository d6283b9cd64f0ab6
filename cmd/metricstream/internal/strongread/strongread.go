// Package strongread owns reads that wait: a query with the header X-Read-Consistency: strong is let through when
// everything that was acknowledged before it came is in the tables. It leaves the answer to the handler behind it,
// where the log ends to the log, and how far that is in the tables to the store.
package strongread

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is the section `strong_reads`.
type Config struct {
	// Timeout is how long a read waits until it is refused.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig returns the default configuration.
func DefaultConfig() Config { return Config{Timeout: 20 * time.Second} }

// Validate checks the section.
func (c Config) Validate() error {
	if c.Timeout < 10*time.Millisecond || c.Timeout > 5*time.Minute {
		return fmt.Errorf("strong_reads.timeout: %v is not between 10ms and 5m; 20s is the default", c.Timeout)
	}
	return nil
}

// Log tells where the log ends: see [kafka.Log.Ends].
type Log interface {
	Ends(ctx context.Context) (kafka.Ends, error)
}

// Options are what a [Gate] works with.
type Options struct {
	Config Config

	// Topic is the log's topic, Progress how far it is in the tables.
	Topic    string
	Progress kafka.ProgressReader

	// Log is nil where the process does not know the log. Reads then have to say what they wait for.
	Log Log

	// Registerer gets the gate's metrics.
	Registerer prometheus.Registerer
}

// Gate holds reads back until what they wait for is visible. All that wait share one look at the log and one at the
// tables at a time.
type Gate struct {
	Options
	ends    lookups
	tables  waiters
	metrics *metrics
}

// New returns a gate; Run has to run for strong reads to pass.
func New(o Options) *Gate {
	g := &Gate{Options: o}
	g.ends.wake = make(chan struct{}, 1)
	g.tables.wake = make(chan struct{}, 1)
	g.metrics = newMetrics(o.Registerer)
	return g
}

// Handler returns a handler that lets requests through to next when what they wait for is visible. Requests that ask
// for nothing pass as they are.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wish, err := wishOf(r.Header)
		if err == nil && wish.strong && r.Method != http.MethodOptions {
			err = g.hold(r.Context(), wish)
			r = r.WithContext(store.WithFresh(r.Context()))
		}
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hold waits, and counts how that ended.
func (g *Gate) hold(ctx context.Context, wish wish) error {
	g.metrics.waiting.Inc()
	defer g.metrics.waiting.Dec()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, g.Config.Timeout)
	defer cancel()
	err := g.wait(ctx, wish)
	if err == nil {
		g.metrics.results.WithLabelValues(visible).Inc()
		g.metrics.seconds.Observe(time.Since(begin).Seconds())
	}
	return err
}

// wait returns when the wish is fulfilled.
func (g *Gate) wait(ctx context.Context, wish wish) error {
	need := wish.named
	if wish.needsLog() {
		if g.Log == nil {
			return &refusal{noLog, "this process does not know where the log ends: set kafka.brokers (--kafka.brokers) for it, " +
				"or send an X-Produced-Offsets with its generation as X-Read-Consistency-Offsets"}
		}
		ends, err := g.ends.join(ctx)
		if err != nil {
			return &refusal{logAway, fmt.Sprintf("cannot learn what was written before this request: %v; %s", err, withoutHeader)}
		}
		need = wish.resolve(ends)
	}
	return g.tables.wait(ctx, need, g.Config.Timeout)
}

const withoutHeader = "without the header X-Read-Consistency the request is answered from what is visible"

// refusal is why a strong read is not answered.
type refusal struct {
	result string // the metric's label
	text   string
}

func (r *refusal) Error() string { return r.text }

// refuse answers in the form of the API, so that clients show the reason.
func (g *Gate) refuse(w http.ResponseWriter, request *http.Request, err error) {
	status, kind, result := http.StatusBadRequest, "bad_data", badRequest
	var r *refusal
	if errors.As(err, &r) {
		result = r.result
		if r.result != noLog {
			status, kind = http.StatusServiceUnavailable, "unavailable"
		}
	}
	if request.Context().Err() != nil {
		result = canceled // nobody is there to read the answer
	}
	g.metrics.results.WithLabelValues(result).Inc()
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": err.Error()})
}
