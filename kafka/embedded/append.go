package embedded

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/failpoint"
)

// maxGroupBytes bounds what one group commit writes, one request excepted.
const maxGroupBytes = 16 << 20

// message is a message to append; offset is set when it is durable.
type message struct {
	partition  int32
	key, value []byte
	headers    []sarama.RecordHeader
	at         time.Time
	offset     int64
}

// request is what one producer wants appended as a whole.
type request struct {
	messages []message
	bytes    int
	turn     chan bool // true: lead the queue; false: err is set
	err      error
}

// commitQueue lets one producer at a time, the leader, commit for all that wait. There is no goroutine: the
// leader's successor is the first of those that came too late for its group.
type commitQueue struct {
	mu      sync.Mutex
	idle    *sync.Cond
	leading bool
	closed  bool
	waiting []*request

	// What follows belongs to the leader: memory kept between groups, and whether the last segment has the
	// remains of a failed write.
	buf    []byte
	places []place
	torn   bool
}

// keep keeps the memory of a group for the next unless it is unusually large.
func (q *commitQueue) keep(buf []byte) {
	q.buf = nil
	if cap(buf) <= 2*maxGroupBytes {
		q.buf = buf[:0]
	}
}

// enter adds a request and waits until it is served or has to lead.
func (q *commitQueue) enter(r *request) (lead bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		r.err = ErrClosed
		return false
	}
	q.waiting = append(q.waiting, r)
	lead = !q.leading
	q.leading = true
	q.mu.Unlock()
	return lead || <-r.turn
}

// group takes the requests that the leader commits; its own is the first.
func (q *commitQueue) group() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < len(q.waiting) && (n == 0 || bytes+q.waiting[n].bytes <= maxGroupBytes) {
		bytes += q.waiting[n].bytes
		n++
	}
	group := append([]*request(nil), q.waiting[:n]...)
	q.waiting = append(q.waiting[:0], q.waiting[n:]...)
	return group
}

// leave hands the lead to the next.
func (q *commitQueue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.waiting[0].turn <- true
		return
	}
	q.leading = false
	if q.idle != nil {
		q.idle.Broadcast()
	}
}

// close refuses further requests and waits for those that are in.
func (q *commitQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.idle = sync.NewCond(&q.mu)
	for q.leading {
		q.idle.Wait()
	}
}

// append makes the messages durable, all or none, and sets their offsets.
func (l *Log) append(messages []message, bytes int) error {
	r := &request{messages: messages, bytes: bytes, turn: make(chan bool, 1)}
	if !l.queue.enter(r) {
		return r.err
	}
	group := l.queue.group()
	err := l.commit(group)
	l.queue.leave()
	for _, other := range group[1:] {
		other.err = err
		other.turn <- false
	}
	return err
}

// commit writes a group of requests and makes it durable. Only the leader calls it.
func (l *Log) commit(group []*request) error {
	begin := time.Now()
	buf, places := l.frames(group, begin)
	defer l.queue.keep(buf)
	err := l.mend()
	if err == nil {
		err = l.makeRoom(int64(len(buf)))
	}
	if err == nil {
		err = l.write(buf)
	}
	if err != nil {
		l.metrics.refused.Inc()
		return err
	}
	failpoint.Hit("log/synced")
	l.publish(group, places, len(buf), begin)
	l.metrics.groupBytes.Observe(float64(len(buf)))
	l.metrics.syncTime.Observe(time.Since(begin).Seconds())
	return nil
}

// frames encodes a group and gives its messages their offsets.
func (l *Log) frames(group []*request, now time.Time) ([]byte, []place) {
	next := append([]int64(nil), l.next...)
	buf := l.queue.buf[:0]
	places := l.queue.places[:0]
	for _, r := range group {
		for i := range r.messages {
			m := &r.messages[i]
			if m.at.IsZero() {
				m.at = now
			}
			m.offset = next[m.partition]
			next[m.partition]++
			pos := len(buf)
			buf = appendFrame(buf, 0, m.partition, m.offset, m.at, m)
			places = append(places, place{uint32(pos), uint32(len(buf) - pos)})
		}
	}
	l.queue.places = places
	return buf, places
}

// mend takes away the remains of a failed write that could not be undone at once: nothing may come after them.
func (l *Log) mend() error {
	if !l.queue.torn {
		return nil
	}
	active := l.segments[len(l.segments)-1]
	if err := active.file.Truncate(active.size); err != nil {
		return fmt.Errorf("cannot write to log segment %s: an earlier write failed and cannot be undone: %w", active.path, err)
	}
	l.queue.torn = false
	return nil
}

// write appends to the last segment and syncs it. On an error the segment ends where it did before.
func (l *Log) write(buf []byte) error {
	active := l.segments[len(l.segments)-1]
	failpoint.Do("log/torn", func() { _, _ = active.file.WriteAt(buf[:len(buf)/2], active.size) })
	_, err := active.file.WriteAt(buf, active.size)
	if err == nil {
		failpoint.Hit("log/written")
		err = active.file.sync()
	}
	if err != nil {
		undo := active.file.Truncate(active.size)
		l.queue.torn = undo != nil
		return fmt.Errorf("cannot write %d bytes to log segment %s: %w", len(buf), active.path, errors.Join(err, undo))
	}
	return nil
}

// publish shows a durable group to the readers.
func (l *Log) publish(group []*request, places []place, size int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	active := l.segments[len(l.segments)-1]
	i := 0
	for _, r := range group {
		for _, m := range r.messages {
			active.add(m.partition, int(active.size)+int(places[i].pos), int(places[i].size))
			i++
			l.next[m.partition] = m.offset + 1
			if c := l.arrivals[m.partition]; c != nil {
				close(c)
				l.arrivals[m.partition] = nil
			}
		}
	}
	active.size += int64(size)
	if active.newest = now; active.oldest.IsZero() {
		active.oldest = now
	}
}
