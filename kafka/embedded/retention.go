package embedded

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// makeRoom prepares the log for a write: it drops what may go, begins a new segment where the last is full, or so old that
// its records may go, and refuses the write where max_bytes would be exceeded. Only the leader calls it.
func (l *Log) makeRoom(bytes int64) error {
	active := l.segments[len(l.segments)-1]
	full := active.size+bytes > l.cfg.SegmentBytes && active.size > int64(len(segmentHeader(l.opts.Topic, active.first)))
	old := l.cfg.RetentionAge > 0 && !active.oldest.IsZero() && time.Since(active.oldest) > l.cfg.RetentionAge
	if full || old {
		if err := l.roll(); err != nil {
			return err
		}
		if err := l.drop(time.Now().Add(-l.cfg.RetentionAge), 0); err != nil {
			return err
		}
	}
	excess := l.size() + bytes - l.cfg.MaxBytes
	if excess <= 0 {
		return nil
	}
	if err := l.drop(time.Now(), excess); err != nil {
		return err
	}
	if l.size()+bytes > l.cfg.MaxBytes {
		return fmt.Errorf("cannot append to log %s: %w: max_bytes is %d", l.dir, ErrFull, l.cfg.MaxBytes)
	}
	return nil
}

// drop removes the oldest segments that were written before the time and that no consumer needs, until bytes
// are free; 0 is all of them.
func (l *Log) drop(before time.Time, bytes int64) error {
	var errs []error
	freed := int64(0)
	l.mu.Lock()
	for len(l.segments) > 1 && (bytes == 0 || freed < bytes) {
		s := l.segments[0]
		if s.newest.After(before) || !l.consumed(s) {
			break
		}
		freed += s.size
		l.segments = append(l.segments[:0:0], l.segments[1:]...)
		errs = append(errs, s.file.Close(), os.Remove(s.path))
	}
	l.mu.Unlock()
	if freed > 0 {
		errs = append(errs, syncDir(l.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot remove old log segments: %w", err)
	}
	return nil
}

// consumed reports whether every group of this process has committed every record of the segment. A group that
// was configured once and is no longer does not count: it would fill the disk.
func (l *Log) consumed(s *segment) bool {
	if l.opts.Unconsumed {
		return true
	}
	for p := range s.places {
		if len(s.places[p]) > 0 && l.offsets.least(l.groups, int32(p)) < s.next(int32(p)) {
			return false
		}
	}
	return true
}

// skipped returns the number of damaged bytes in all segments.
func (l *Log) skipped() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var n int64
	for _, s := range l.segments {
		n += s.skipped
	}
	return n
}

// size returns the size of all segments.
func (l *Log) size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var n int64
	for _, s := range l.segments {
		n += s.size
	}
	return n
}
