// Package breaker owns the circuit breakers before what a process depends on: after some failures in a row the other
// side is left alone for a while, so that whoever needs it is told at once rather than after a timeout. Processes warn each
// other through [Shared]. The states are those of github.com/sony/gobreaker. What a failure is, and what happens while a breaker is open, its users decide.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// So many failures in a row open a breaker, for the pause; one is enough where others have warned of the dependency. Then
// one call is let through, which closes it or opens it again.
const (
	failures = 5
	pause    = 5 * time.Second
)

// Breaker stands before one dependency. A nil one lets every call through. Its methods may be called from several
// goroutines at once.
type Breaker struct {
	name    string
	logger  *slog.Logger
	failure func(error) bool
	circuit *gobreaker.CircuitBreaker[struct{}]
	metrics metrics

	// others are how the dependency does for other processes, nil where that is not known; answeredNs is when it last
	// answered this one, in Unix nanoseconds, and trying whether a call finds out in spite of a warning.
	others     atomic.Pointer[Others]
	answeredNs atomic.Int64
	trying     atomic.Bool

	mu    sync.Mutex
	since time.Time // of the state
	last  error     // the newest failure, nil for none yet
	at    time.Time // when that was
}

// Options are what a [Breaker] works with.
type Options struct {
	// Failure tells the failures of the dependency from errors that it answers with, such as that of a bad statement.
	// Nil is that every error is a failure. It is asked neither about nil nor about the error of a call whose context
	// had ended: who did not wait learns nothing of the dependency.
	Failure    func(error) bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// New returns a closed breaker before the dependency of that name.
func New(name string, o Options) *Breaker {
	b := &Breaker{name: name, logger: o.Logger, failure: o.Failure, since: time.Now()}
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       pause,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures || b.warned() },
		IsExcluded:    func(err error) bool { return errors.As(err, new(gone)) },
		IsSuccessful:  func(err error) bool { return !b.failed(err) },
		OnStateChange: b.changed,
	})
	b.metrics = b.register(o.Registerer)
	return b
}

// gone is the error of a call whose context had ended.
type gone struct{ error }

func (b *Breaker) failed(err error) bool {
	return err != nil && (b.failure == nil || b.failure(err))
}

// Do calls f, which works under the context, and returns its error, or, while the breaker is open, an [Open] without
// calling f.
func (b *Breaker) Do(ctx context.Context, f func() error) error {
	if b == nil {
		return f()
	}
	leave, ok := b.enter()
	if !ok {
		b.metrics.refused.Inc()
		return &Open{b.name, "others have found it away, and a call finds out"}
	}
	defer leave()
	_, err := b.circuit.Execute(func() (struct{}, error) {
		err := f()
		switch {
		case err != nil && ctx.Err() != nil:
			err = gone{err}
		case b.failed(err):
			b.note(err)
		default:
			b.answeredNs.Store(time.Now().UnixNano())
		}
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		b.metrics.refused.Inc()
		return &Open{b.name, b.Status().LastError}
	}
	if g, ok := err.(gone); ok {
		return g.error
	}
	return err
}

// note keeps a failure for those who ask what is wrong.
func (b *Breaker) note(err error) {
	b.metrics.failures.Inc()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last, b.at = err, time.Now()
}

// changed is called while the circuit is locked.
func (b *Breaker) changed(_ string, from, to gobreaker.State) {
	b.mu.Lock()
	b.since = time.Now()
	last := b.last
	b.mu.Unlock()
	switch {
	case to == gobreaker.StateClosed:
		b.logger.Info("a dependency answers again", "dependency", b.name)
	case from == gobreaker.StateClosed:
		b.logger.Warn("a dependency fails and is left alone; a call tries it every few seconds", "dependency", b.name, "pause", pause, "err", last)
	}
}

// Open is the error of a call that was not made. It is of store.KindUnavailable, as every error that says nothing else.
type Open struct {
	// Dependency is the breaker's name, Last the failure that it was opened or kept open for.
	Dependency, Last string
}

func (e *Open) Error() string {
	return fmt.Sprintf("%s is not asked for some seconds, because it failed: %s", e.Dependency, e.Last)
}

// Status is how a dependency does, as those who called it saw it.
type Status struct {
	// State is closed, open or half-open; Since is from when.
	State string    `json:"state"`
	Since time.Time `json:"since"`

	// LastError is the newest failure and LastFailure when it was; both are zero where there was none.
	LastError   string    `json:"lastError,omitempty"`
	LastFailure time.Time `json:"lastFailure,omitzero"`

	// Others are how it does for other processes; absent where that is not shared, or not known.
	Others *Others `json:"others,omitempty"`
}

// Status returns the present status.
func (b *Breaker) Status() Status {
	state := b.circuit.State() // before the lock: it may call changed
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{State: state.String(), Since: b.since.UTC(), LastFailure: b.at.UTC(), Others: b.others.Load()}
	if b.last != nil {
		s.LastError = b.last.Error()
	}
	if b.at.IsZero() {
		s.LastFailure = time.Time{}
	}
	return s
}
