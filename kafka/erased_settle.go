package kafka

import (
	"context"
	"fmt"
	"time"
)

// begin tells that a write begins, which leaves out what the list has now; end is to be called when it is over.
func (e *Erased) begin() (end func()) {
	if e == nil {
		return func() {}
	}
	e.writing.Lock()
	defer e.writing.Unlock()
	version := e.version()
	e.writes[version]++
	return func() {
		e.writing.Lock()
		defer e.writing.Unlock()
		if e.writes[version]--; e.writes[version] == 0 {
			delete(e.writes, version)
		}
	}
}

// settled tells whether no write is under way that began with a former list.
func (e *Erased) settled() bool {
	e.writing.Lock()
	defer e.writing.Unlock()
	now := e.version()
	for version := range e.writes {
		if version < now {
			return false
		}
	}
	return true
}

// report tells the source how far this reader is.
func (e *Erased) report(ctx context.Context) error {
	e.refresh.Lock()
	defer e.refresh.Unlock()
	return e.source.Report(ctx, e.fresh && e.settled())
}

// Publish reads the list, and returns when nothing is written any more that it erases, and the source knows so.
func (e *Erased) Publish(ctx context.Context) error {
	if e == nil {
		return nil
	}
	if err := e.Refresh(ctx); err != nil {
		return err
	}
	for !e.settled() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("what is written from the log has not ended: %w", ctx.Err())
		}
	}
	return e.report(ctx)
}

// leaveTimeout bounds the last word of a reader.
const leaveTimeout = 2 * time.Second

// leave tells the source that this reader reads no more. Where it cannot, erasures wait a little longer.
func (e *Erased) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	e.refresh.Lock()
	defer e.refresh.Unlock()
	if err := e.source.Leave(ctx); err != nil {
		e.logger.Debug("the metadata database does not know that this process reads the log no more", "err", err)
	}
}
