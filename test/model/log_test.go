package model

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// topicLog is the log: the data topic's partitions and the dead letters. The world's lock guards it.
type topicLog struct {
	parts   []partition
	letters []*sarama.ProducerMessage

	// topics counts how often the topic was made anew, losses how often records went.
	topics, losses int
	wentBack       bool // the topic is the same and its offsets are given again
}

// generation names the topic that there is now.
func (l *topicLog) generation() string { return strconv.Itoa(l.topics) }

// partition is one partition of the topic.
type partition struct {
	records []*sarama.ConsumerMessage
	// changed is closed, and made anew, when a record comes.
	changed chan struct{}
	// gone is closed when the topic is lost.
	gone chan struct{}
}

func newTopicLog(partitions int) *topicLog {
	l := &topicLog{parts: make([]partition, partitions)}
	l.clear()
	return l
}

// clear makes all partitions anew.
func (l *topicLog) clear() {
	for i := range l.parts {
		if l.parts[i].gone != nil {
			close(l.parts[i].gone)
		}
		l.parts[i] = partition{changed: make(chan struct{}), gone: make(chan struct{})}
	}
}

// append adds a record and returns its offset.
func (l *topicLog) append(p int32, value []byte) int64 {
	part := &l.parts[p]
	offset := int64(len(part.records))
	part.records = append(part.records, &sarama.ConsumerMessage{
		Topic: topic, Partition: p, Offset: offset, Timestamp: time.Now(), Value: value,
	})
	close(part.changed)
	part.changed = make(chan struct{})
	return offset
}

// producer is a receiver's sarama.SyncProducer. What is not written out it does not have: nobody calls it.
type producer struct {
	sarama.SyncProducer
	w    *world
	from *receiver
	sent int
}

var errNotAcked = errors.New("the broker did not answer in time")

// fate is what becomes of one record on its way.
type fate int

const (
	acked    fate = iota
	lost          // it is not in the log, and the producer is told so
	unknown       // it is in the log, and the producer is told that it failed
	straggle      // the producer is told that it failed, and later it is in the log
)

// SendMessages appends the messages, each with a fate of its own: the answer names those that were not
// acknowledged, or, as a client does whose connection is gone, none.
func (p *producer) SendMessages(ms []*sarama.ProducerMessage) error {
	w := p.w
	w.mu.Lock()
	p.sent++
	r := w.rand("send", p.from.id, p.from.life, p.sent)
	w.mu.Unlock()
	var failed sarama.ProducerErrors
	for _, m := range ms {
		time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
		value, err := m.Value.Encode()
		if err != nil {
			return err
		}
		value = append([]byte(nil), value...) // the producer uses its memory again
		w.mu.Lock()
		f := acked
		if r.IntN(100) < w.faults.log {
			f = fate(1 + r.IntN(3))
		}
		if p.from.dead && f == acked {
			f = fate(1 + r.IntN(3)) // nobody hears of it
		}
		switch f {
		case acked:
			m.Offset = w.log.append(m.Partition, value)
		case unknown:
			w.log.append(m.Partition, value)
		case straggle:
			time.AfterFunc(time.Duration(r.IntN(5000))*time.Millisecond, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.log.append(m.Partition, value)
			})
		}
		w.mu.Unlock()
		if f != acked {
			failed = append(failed, &sarama.ProducerError{Msg: m, Err: errNotAcked})
		}
	}
	time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
	switch {
	case len(failed) == 0:
		return nil
	case r.IntN(4) == 0:
		return errNotAcked
	}
	return failed
}

// letters is a consumer's sarama.SyncProducer of the dead letters.
type letters struct {
	sarama.SyncProducer
	w  *world
	of *consumer
}

// SendMessage appends a dead letter.
func (l *letters) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.of.dead {
		return 0, 0, nil // whatever is told to the dead
	}
	if l.w.draw(l.of.id)%100 < l.w.faults.log {
		return -1, -1, errNotAcked
	}
	l.w.log.letters = append(l.w.log.letters, m)
	return 0, int64(len(l.w.log.letters) - 1), nil
}

// topicReader implements kafka.TopicReader for a process; learned is called with what it learns.
type topicReader struct {
	w       *world
	learned func(topics int)
}

// Generation returns the topic's generation.
func (t topicReader) Generation(context.Context) (string, error) {
	time.Sleep(time.Millisecond)
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.w.draw(0)%100 < t.w.faults.log/2 {
		return "", errNotAcked
	}
	t.learned(t.w.log.topics)
	return t.w.log.generation(), nil
}
