package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// startTimeout bounds one start of the engine's process, from the fork to the first answer. Loading the
	// tables of a large folder on a slow disk takes a while.
	startTimeout = 2 * time.Minute

	// An engine is back within 0.3 s, so there is no reason to wait long; the bound only keeps one that cannot
	// live from eating the machine.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second

	// stableAfter is how long an engine has to live before its death is again treated as the first.
	stableAfter = 10 * time.Second

	portAttempts = 5
)

// startOnFreePort chooses port and password and starts the first child. Between the choice of a port and the
// engine's bind another process may take it, so a few ports are tried.
func (e *Engine) startOnFreePort(ctx context.Context) (*child, error) {
	var errs []error
	for range portAttempts {
		var err error
		if e.access, err = newAccess(); err != nil {
			return nil, err
		}
		c, err := e.startChild(ctx)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// startChild writes the configuration, starts a host and waits until it answers. On an error no process is
// left behind.
func (e *Engine) startChild(ctx context.Context) (*child, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer within %s", startTimeout))
	defer cancel()
	if err := writeConfig(e.opts, e.access); err != nil {
		return nil, err
	}
	c, err := spawn(e.opts, e.locks.engine)
	if err != nil {
		return nil, err
	}
	e.child.Store(c)
	if err := c.awaitReady(ctx, e.access); err != nil {
		c.kill()
		<-c.exited
		e.child.Store(nil)
		return nil, err
	}
	e.metrics.up.Set(1)
	return c, nil
}

// supervise owns the child until the context ends: it waits for its end and starts the next one, with the
// same port and password so that clients only have to reconnect.
func (e *Engine) supervise(ctx context.Context, c *child) {
	defer close(e.stopped)
	backoff := minBackoff
	for {
		started := time.Now()
		end := e.outlive(ctx, c)
		e.child.Store(nil)
		e.metrics.up.Set(0)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > stableAfter {
			backoff = minBackoff
		}
		e.logger.Error("the ClickHouse engine ended and is restarted", "end", end, "reason", c.reason(), "pid", c.pid(), "in", backoff)
		for c = nil; c == nil; end = endFailedStart {
			select {
			case <-ctx.Done():
				return
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, maxBackoff)
			e.metrics.restarts.WithLabelValues(end).Inc()
			c = e.restart(ctx, backoff)
		}
	}
}

// outlive waits until the child has ended, by itself, because it hung and was killed, or because the context has
// ended and it was told to shut down. It returns which of the first two it was.
func (e *Engine) outlive(ctx context.Context, c *child) (end string) {
	watching, stop := context.WithCancel(ctx)
	hung := make(chan bool, 1)
	go func() {
		is := hangs(watching, e.access)
		if is {
			c.kill()
		}
		hung <- is
	}()
	select {
	case <-ctx.Done():
		c.shutdown()
	case <-c.exited:
	}
	<-c.exited
	stop()
	if <-hung {
		return endHung
	}
	return endDied
}

// restart starts a child; it returns nil where it cannot.
func (e *Engine) restart(ctx context.Context, backoff time.Duration) *child {
	started := time.Now()
	c, err := e.startChild(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.logger.Error("cannot restart the ClickHouse engine, trying again", "err", err, "in", backoff)
		}
		return nil
	}
	e.logger.Info("the ClickHouse engine answers again", "pid", c.pid(), "after", time.Since(started))
	return c
}
