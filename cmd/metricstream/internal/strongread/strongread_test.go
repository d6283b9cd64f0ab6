package strongread

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// world is a log and tables.
type world struct {
	mu            sync.Mutex
	ends          kafka.Ends
	at            offsets
	logErr, err   error
	looks, polls  int
	slowLog, slow time.Duration
}

func (w *world) Ends(context.Context) (kafka.Ends, error) {
	time.Sleep(w.slowLog)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return w.ends, w.logErr
}

func (w *world) Progress(_ context.Context, topic, generation string) (map[int32]int64, error) {
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls++
	at := map[int32]int64{}
	for p, next := range w.at[generation] {
		at[p] = next
	}
	return at, w.err
}

func (w *world) reach(generation string, partition int32, next int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at.of(generation)[partition] = next
}

// gateOver runs a gate in a bubble of fake time.
func gateOver(t *testing.T, w *world, change func(*Options)) *Gate {
	t.Helper()
	o := Options{Config: DefaultConfig(), Topic: "t", Progress: w, Log: w, Registerer: prometheus.NewPedanticRegistry()}
	if change != nil {
		change(&o)
	}
	g := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return g
}

// ask sends a request through the gate; the handler behind it answers 200.
func ask(g *Gate, headers ...string) (int, string) {
	w := answerOf(g, headers...)
	return w.Code, w.Body.String()
}

func answerOf(g *Gate, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, "fresh: ", store.Fresh(r.Context()))
	})).ServeHTTP(w, r)
	return w
}

func newWorld() *world {
	return &world{ends: kafka.Ends{Generation: "now", Next: map[int32]int64{0: 10, 3: 5}}, at: offsets{"now": {0: 10, 3: 4}}}
}

func TestWaitsForWhatWasWritten(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []string
		waits   bool // until partition 3 is at 5
	}{
		{"nothing said", nil, false},
		{"eventual", []string{header, "eventual"}, false},
		{"eventual with offsets", []string{header, "eventual", offsetsHeader, "3:4"}, false},
		{"strong", []string{header, "strong"}, true},
		{"offsets that are visible", []string{header, "strong", offsetsHeader, "0:9,3:3"}, false},
		{"offsets that are not", []string{header, "strong", offsetsHeader, "0:9,3:4"}, true},
		{"offsets alone", []string{offsetsHeader, "3:4;generation=now"}, true},
		{"two receipts", []string{offsetsHeader, "0:1;generation=now", offsetsHeader, "3:4"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				g := gateOver(t, w, nil)
				time.AfterFunc(3*time.Second, func() { w.reach("now", 3, 5) })
				begin := time.Now()
				status, body := ask(g, test.headers...)
				if fresh := !strings.HasPrefix(test.name, "nothing") && !strings.HasPrefix(test.name, "eventual"); body != fmt.Sprint("fresh: ", fresh) {
					t.Errorf("the handler behind the gate got %q", body)
				}
				if waited := time.Since(begin) >= 3*time.Second; status != http.StatusOK || waited != test.waits {
					t.Errorf("%d after %v, want it to wait: %v\n%s", status, time.Since(begin), test.waits, body)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	other := errors.New("out of order")
	for _, test := range []struct {
		name    string
		change  func(*world, *Options)
		headers []string
		status  int
		want    []string
		after   time.Duration
	}{
		{"a consumer that is away", nil, []string{header, "strong"}, 503, []string{"partition 3 is at offset 4 of 5", "20s (strong_reads.timeout)", "consumers run"}, 20 * time.Second},
		{"a shorter limit", func(_ *world, o *Options) { o.Config.Timeout = time.Second }, []string{header, "strong"}, 503, []string{"after 1s"}, time.Second},
		{"a former generation", nil, []string{offsetsHeader, "3:4;generation=before"}, 503, []string{"partition 3 is at offset 0 of 5"}, 20 * time.Second},
		{"a log that is away", func(w *world, _ *Options) { w.logErr = other }, []string{header, "strong"}, 503, []string{"out of order", "without the header"}, 0},
		{"a log that hangs", func(w *world, _ *Options) { w.slowLog = time.Minute }, []string{header, "strong"}, 503, []string{"deadline"}, 20 * time.Second},
		{"tables that are away", func(w *world, _ *Options) { w.err = other }, []string{header, "strong"}, 503, []string{"what the tables have: out of order"}, 20 * time.Second},
		{"tables that hang", func(w *world, _ *Options) { w.slow = time.Minute }, []string{header, "strong"}, 503, []string{"after 20s"}, 20 * time.Second},
		{"no log", func(_ *world, o *Options) { o.Log = nil }, []string{header, "strong"}, 400, []string{"kafka.brokers"}, 0},
		{"no log, and offsets without a generation", func(_ *world, o *Options) { o.Log = nil }, []string{offsetsHeader, "3:3"}, 400, []string{"kafka.brokers"}, 0},
		{"another word", nil, []string{header, "Strong"}, 400, []string{`"Strong": want strong or eventual`}, 0},
		{"bad offsets", nil, []string{header, "strong", offsetsHeader, "x"}, 400, []string{offsetsHeader, "0:1200,3:77"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				g := gateOver(t, w, func(o *Options) {
					if test.change != nil {
						test.change(w, o)
					}
				})
				begin := time.Now()
				got := answerOf(g, test.headers...)
				status, body := got.Code, got.Body.String()
				if (status == 503) != (got.Header().Get("Retry-After") == "5") {
					t.Errorf("%d with %v", status, got.Header())
				}
				var answer struct{ Status, ErrorType, Error string }
				if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "error" {
					t.Fatalf("%d %s, %v", status, body, err)
				}
				kind := map[int]string{400: "bad_data", 503: "unavailable"}[test.status]
				if status != test.status || answer.ErrorType != kind || time.Since(begin) != test.after {
					t.Errorf("%d %s after %v, want %d after %v", status, body, time.Since(begin), test.status, test.after)
				}
				for _, want := range test.want {
					if !strings.Contains(answer.Error, want) {
						t.Errorf("%q does not say %q", answer.Error, want)
					}
				}
			})
		})
	}
}

func TestOffsetsNeedNoLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		g := gateOver(t, w, func(o *Options) { o.Log = nil })
		if status, body := ask(g, offsetsHeader, "0:9,3:3;generation=now"); status != http.StatusOK || w.looks != 0 {
			t.Errorf("%d %s after %d looks at the log", status, body, w.looks)
		}
	})
}

// TestWaitersShareTheirLooks bounds what many readers cost.
func TestWaitersShareTheirLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slowLog, w.slow = 10*time.Millisecond, 2*time.Millisecond
		g := gateOver(t, w, nil)
		time.AfterFunc(2*time.Second, func() { w.reach("now", 3, 5) })
		var asking sync.WaitGroup
		for range 500 {
			asking.Go(func() {
				if status, body := ask(g, header, "strong"); status != http.StatusOK {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		asking.Wait()
		if w.looks > 2 || w.polls > 60 {
			t.Errorf("%d looks at the log and %d at the tables", w.looks, w.polls)
		}
		if n := testutil.ToFloat64(g.metrics.results.WithLabelValues(visible)); n != 500 {
			t.Errorf("%v were counted as visible", n)
		}
		polls := w.polls
		time.Sleep(time.Minute)
		if w.polls != polls {
			t.Errorf("the tables were asked %d times for nobody", w.polls-polls)
		}
	})
}

func TestALookUnderWayIsTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slowLog = time.Second
		g := gateOver(t, w, nil)
		go func() { _, _ = g.ends.join(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		begin := time.Now()
		if _, err := g.ends.join(t.Context()); err != nil || time.Since(begin) < 1900*time.Millisecond {
			t.Errorf("a look that began before was taken, after %v, %v", time.Since(begin), err)
		}
	})
}

func TestLimitsOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateOver(t, newWorld(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var waiting sync.WaitGroup
		for i := range maxGenerations {
			waiting.Go(func() { _ = g.tables.wait(ctx, offsets{string(rune('a' + i)): {0: 1}}, time.Second) })
		}
		synctest.Wait()
		if status, body := ask(g, offsetsHeader, "3:4;generation=one-more"); status != http.StatusServiceUnavailable || !strings.Contains(body, "generations") {
			t.Errorf("%d %s", status, body)
		}
		cancel()
		waiting.Wait()
		if n := len(g.tables.waiting); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []time.Duration{0, -1, time.Millisecond, time.Hour} {
		if err := (Config{Timeout: bad}).Validate(); err == nil || !strings.Contains(err.Error(), "strong_reads.timeout") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
