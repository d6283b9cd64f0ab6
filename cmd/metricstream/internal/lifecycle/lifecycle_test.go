package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStopRunsInReverse(t *testing.T) {
	var order []string
	s := New(slog.New(slog.DiscardHandler))
	for _, name := range []string{"engine", "log", "server"} {
		s.Push(name, func(context.Context) error { order = append(order, name); return nil })
	}
	if err := s.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if want := []string{"server", "log", "engine"}; !slices.Equal(order, want) {
		t.Errorf("stopped in the order %v, want %v", order, want)
	}
}

func TestStopGoesOnAfterAnError(t *testing.T) {
	stopped := false
	s := New(slog.New(slog.DiscardHandler))
	s.Push("first", func(context.Context) error { stopped = true; return nil })
	s.Push("second", func(context.Context) error { return errors.New("stuck") })
	err := s.Stop(time.Minute)
	if err == nil || !strings.Contains(err.Error(), "cannot stop second: stuck") {
		t.Errorf("got error %v", err)
	}
	if !stopped {
		t.Error("the first part was not stopped")
	}
}

func TestLoopIsCancelledAndAwaited(t *testing.T) {
	ended := false
	s := New(slog.New(slog.DiscardHandler))
	s.Go("loop", func(ctx context.Context) error {
		<-ctx.Done()
		ended = true
		return ctx.Err()
	})
	if err := s.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if !ended {
		t.Error("Stop returned before the loop had ended")
	}
}

func TestLoopThatFailsEndsTheWait(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler))
	s.Go("loop", func(context.Context) error { return errors.New("disk on fire") })
	err := s.Wait(t.Context())
	if err == nil || err.Error() != "loop: disk on fire" {
		t.Errorf("got error %v", err)
	}
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := New(slog.New(slog.DiscardHandler))
		s.Go("loop", func(context.Context) error { <-release; return nil })
		if err := s.Stop(time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v", err)
		}
		close(release)
	})
}
