// Package lifecycle starts the parts of a process in order and stops them in reverse.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Stack holds what has been started. Parts are pushed in the order of their start; Stop ends them in reverse, so
// that whoever produces is gone before what it produces into. It is used by one goroutine.
type Stack struct {
	logger *slog.Logger
	parts  []part
	failed chan error
}

type part struct {
	name string
	stop func(ctx context.Context) error
}

// New returns an empty stack.
func New(logger *slog.Logger) *Stack {
	return &Stack{logger: logger, failed: make(chan error, 1)}
}

// Push records how to stop a part that has been started.
func (s *Stack) Push(name string, stop func(ctx context.Context) error) {
	s.parts = append(s.parts, part{name, stop})
}

// Go runs a loop until its turn to stop comes, when its context is cancelled and its end waited for. A loop that
// ends by itself, with an error or without, ends the process: see [Stack.Wait].
func (s *Stack) Go(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended unexpectedly")
			}
			select {
			case s.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		done <- err
	}()
	s.Push(name, func(ctx context.Context) error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// Wait blocks until ctx is done, and returns nil, or until a loop has failed, and returns its error.
func (s *Stack) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Stop stops every part, last started first, within the time given in all. It goes on after a part that cannot
// be stopped and returns all errors.
func (s *Stack) Stop(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := s.parts[i]
		s.logger.Debug("stopping", "part", p.name)
		if err := p.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("cannot stop %s: %w", p.name, err))
		}
	}
	s.parts = nil
	return errors.Join(errs...)
}
