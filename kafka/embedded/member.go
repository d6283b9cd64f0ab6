package embedded

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/IBM/sarama"
)

// ConsumerGroup returns a new member of the group with this name. Offsets that the group commits are durable;
// where it has committed none it begins with the oldest record. The log keeps what the group has not
// committed.
func (l *Log) ConsumerGroup(name string) sarama.ConsumerGroup {
	m := &member{errors: make(chan error, 16), closed: make(chan struct{}), paused: make(map[int32]bool), unpaused: make(chan struct{})}
	g, err := l.group(name)
	if err != nil {
		_ = m.Close() // it has no error
		return m
	}
	m.group = g
	g.mu.Lock()
	g.members++
	m.id = fmt.Sprintf("%s-%d", name, g.members)
	g.open = append(g.open, m)
	g.mu.Unlock()
	return m
}

// member implements sarama.ConsumerGroup.
type member struct {
	group  *group
	id     string
	errors chan error
	closed chan struct{}

	mu       sync.Mutex
	done     bool
	running  sync.WaitGroup
	paused   map[int32]bool
	unpaused chan struct{} // closed and made anew by Resume
}

// Consume joins the group and returns when ctx is done, the member is closed, or a handler has returned without
// being asked to.
func (m *member) Consume(ctx context.Context, topics []string, handler sarama.ConsumerGroupHandler) error {
	m.mu.Lock()
	if m.done {
		m.mu.Unlock()
		return sarama.ErrClosedConsumerGroup
	}
	m.running.Add(1)
	m.mu.Unlock()
	defer m.running.Done()

	topic := m.group.log.opts.Topic
	if !slices.Equal(topics, []string{topic}) {
		return fmt.Errorf("cannot consume topics %q, this log is %q: %w", topics, topic, sarama.ErrUnknownTopicOrPartition)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{member: m, handler: handler, ctx: ctx, cancel: cancel, claims: make(map[int32]*claim), positions: make(map[int32]*position)}
	if err := m.group.join(s); err != nil {
		return err
	}
	err := handler.Setup(s)
	if err == nil {
		s.start()
		select {
		case <-ctx.Done():
		case <-m.closed:
		}
	}
	cancel(nil)
	s.stop()
	if e := handler.Cleanup(s); err == nil {
		err = e
	}
	m.group.leave(s)
	return err
}

// report hands an error to whoever listens.
func (m *member) report(err error, partition int32) {
	err = &sarama.ConsumerError{Topic: m.group.log.opts.Topic, Partition: partition, Err: err}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return
	}
	select {
	case m.errors <- err:
	default:
		m.group.log.logger.Error("consumer error", "err", err)
	}
}

// Errors returns the channel of what went wrong while consuming.
func (m *member) Errors() <-chan error { return m.errors }

// Close ends Consume and leaves the group.
func (m *member) Close() error {
	m.mu.Lock()
	if m.done {
		m.mu.Unlock()
		return nil
	}
	m.done = true
	close(m.closed)
	m.mu.Unlock()
	m.running.Wait()
	close(m.errors)
	return nil
}

// Pause stops reading partitions until they are resumed.
func (m *member) Pause(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.own(partitions) {
		m.paused[p] = true
	}
}

// Resume reads partitions again.
func (m *member) Resume(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.own(partitions) {
		delete(m.paused, p)
	}
	close(m.unpaused)
	m.unpaused = make(chan struct{})
}

func (m *member) own(partitions map[string][]int32) []int32 {
	if m.group == nil {
		return nil
	}
	return partitions[m.group.log.opts.Topic]
}

// PauseAll stops reading.
func (m *member) PauseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.group == nil {
		return
	}
	for p := range m.group.owners {
		m.paused[int32(p)] = true
	}
}

// ResumeAll reads all partitions again.
func (m *member) ResumeAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.paused)
	close(m.unpaused)
	m.unpaused = make(chan struct{})
}

// pausedUntil returns nil where the partition is to be read, else a channel that is closed when to ask again.
func (m *member) pausedUntil(partition int32) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused[partition] {
		return m.unpaused
	}
	return nil
}
