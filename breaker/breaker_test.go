package breaker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var (
	errAway = errors.New("away")
	errBad  = errors.New("bad statement")
)

func newBreaker() (*Breaker, *prometheus.Registry) {
	r := prometheus.NewRegistry()
	return New("Redis", Options{
		Failure: func(err error) bool { return !errors.Is(err, errBad) },
		Logger:  slog.New(slog.DiscardHandler), Registerer: r,
	}), r
}

// TestLeftAlone opens a breaker by failures in a row and sees one call after the pause.
func TestLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBreaker()
		calls := 0
		call := func(answer error) error {
			return b.Do(t.Context(), func() error { calls++; return answer })
		}
		for range failures - 1 {
			call(errAway)
		}
		call(nil)
		left, leave := context.WithCancel(t.Context())
		leave()
		for range failures {
			if err := b.Do(left, func() error { return errAway }); err != errAway {
				t.Fatal(err)
			}
		}
		for range failures {
			if err := call(errBad); err != errBad {
				t.Fatal(err)
			}
		}
		if s := b.Status(); s.State != "closed" || s.LastError != "away" {
			t.Fatalf("%+v", s)
		}
		for range failures {
			call(errAway)
		}
		made := calls
		var open *Open
		if err := call(nil); !errors.As(err, &open) || open.Dependency != "Redis" || !strings.Contains(err.Error(), "away") || calls != made {
			t.Errorf("got %v after %d calls", err, calls-made)
		}
		time.Sleep(pause + time.Millisecond)
		if s := b.Status(); s.State != "half-open" {
			t.Errorf("%+v", s)
		}
		if err := call(errAway); err != errAway || calls != made+1 {
			t.Errorf("got %v after %d calls", err, calls-made)
		}
		if err := call(nil); !errors.As(err, &open) {
			t.Errorf("the try failed, and yet: %v", err)
		}
		time.Sleep(pause + time.Millisecond)
		if err := call(nil); err != nil || b.Status().State != "closed" {
			t.Errorf("got %v, %+v", err, b.Status())
		}
		const want = `
			# HELP metricstream_dependency_failures_total Calls to a dependency that failed, because it was away, too slow or broken.
			# TYPE metricstream_dependency_failures_total counter
			metricstream_dependency_failures_total{dependency="Redis"} 10
			# HELP metricstream_dependency_open 1 while a dependency is left alone because it failed several times in a row, else 0.
			# TYPE metricstream_dependency_open gauge
			metricstream_dependency_open{dependency="Redis"} 0
			# HELP metricstream_dependency_refused_total Calls that were not made because the dependency was left alone.
			# TYPE metricstream_dependency_refused_total counter
			metricstream_dependency_refused_total{dependency="Redis"} 2
		`
		if err := testutil.GatherAndCompare(r, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

// TestOneTry lets many callers come when the pause is over: one of them is let through.
func TestOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBreaker()
		for range failures {
			b.Do(t.Context(), func() error { return errAway })
		}
		time.Sleep(pause + time.Millisecond)
		var all sync.WaitGroup
		var mu sync.Mutex
		made, refused := 0, 0
		for range 20 {
			all.Go(func() {
				err := b.Do(t.Context(), func() error {
					mu.Lock()
					made++
					mu.Unlock()
					time.Sleep(time.Second)
					return nil
				})
				if err != nil {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if made != 1 || refused != 19 {
			t.Errorf("%d calls were made, %d refused", made, refused)
		}
	})
}

func TestNone(t *testing.T) {
	var b *Breaker
	if err := b.Do(t.Context(), func() error { return errAway }); err != errAway {
		t.Error(err)
	}
}
