package embedded

import (
	"sort"

	"github.com/IBM/sarama"
)

// read returns the first record of the partition at or after the offset; after it where retention, damage or a
// missing file took it. Where there is none yet it returns a channel that is closed when one arrives.
func (l *Log) read(partition int32, offset int64) (*sarama.ConsumerMessage, <-chan struct{}, error) {
	l.mu.RLock()
	f, found, err := l.find(partition, offset)
	closed := l.closed
	l.mu.RUnlock()
	switch {
	case closed:
		return nil, nil, ErrClosed
	case err != nil:
		return nil, nil, err
	case !found:
		return nil, l.arrival(partition, offset), nil
	}
	m, err := f.message(l.opts.Topic)
	return m, nil, err
}

func (l *Log) find(partition int32, offset int64) (frame, bool, error) {
	s, offset := l.locate(partition, offset)
	if s == nil {
		return frame{}, false, nil
	}
	f, err := s.read(partition, offset)
	return f, true, err
}

// locate returns the segment with the first record at or after the offset, and that record's offset; nil where
// there is none.
func (l *Log) locate(partition int32, offset int64) (*segment, int64) {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].next(partition) > offset })
	for _, s := range l.segments[i:] {
		if at, ok := s.from(partition, offset); ok {
			return s, at
		}
	}
	return nil, 0
}

// arrival returns a channel that is closed as soon as the partition has a record at or after the offset.
func (l *Log) arrival(partition int32, offset int64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, _ := l.locate(partition, offset); s != nil || l.closed {
		c := make(chan struct{})
		close(c)
		return c
	}
	if l.arrivals[partition] == nil {
		l.arrivals[partition] = make(chan struct{})
	}
	return l.arrivals[partition]
}

// bounds returns the partition's oldest offset and the one that the next record will have.
func (l *Log) bounds(partition int32) (oldest, next int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	next = l.next[partition]
	for _, s := range l.segments {
		if len(s.places[partition]) > 0 {
			return s.first[partition], next
		}
	}
	return next, next
}

// Read returns the first record of the partition at or after the offset, nil where there is none.
func (l *Log) Read(partition int32, offset int64) (*sarama.ConsumerMessage, error) {
	m, _, err := l.read(partition, offset)
	return m, err
}

// Bounds returns the partition's oldest offset and the one that the next record will have.
func (l *Log) Bounds(partition int32) (oldest, next int64) { return l.bounds(partition) }
