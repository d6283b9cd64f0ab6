package model

import (
	"context"
	"time"

	"github.com/metricstream/metricstream/kafka"
)

// consumer is one life of a consumer process. The world's lock guards it.
type consumer struct {
	w        *world
	id, life int
	member   *member
	cancel   context.CancelFunc
	writes   int

	// dead is set when the process has crashed: whatever its goroutines still do has no effect any more, but for
	// the one insert that may be on its way, abandoned.
	dead, abandoned bool

	// armed counts the inserts until the process crashes, after is whether that one is still made; 0: it does not.
	armed int
	after bool
	down  time.Duration
}

// startConsumer starts the process with this number, where it does not run.
func (w *world) startConsumer(id int) {
	if w.consumers[id] != nil || w.ended {
		return
	}
	w.lives++
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumer{w: w, id: id, life: w.lives, cancel: cancel}
	c.member = &member{group: w.group, of: c, errors: make(chan error)}
	w.consumers[id] = c
	w.living = append(w.living, c)
	w.run(ctx, c, &w.tables)
}

// run runs the real consumer.
func (w *world) run(ctx context.Context, c *consumer, progress kafka.ProgressReader) {
	k := kafka.NewConsumer(w.cfg, kafka.ConsumerOptions{
		Group: c.member, Writer: tableWriter{w, c}, Progress: progress, Topic: topicReader{w, func(int) {}}, DeadLetter: &letters{w: w, of: c},
	})
	w.processes.Go(func() {
		if err := k.Run(ctx); err != nil {
			w.fail("a consumer ends with: %v", err)
		}
	})
}

// crash ends the process. Its group hears of it when its session times out.
func (c *consumer) crash(down time.Duration) {
	w := c.w
	if c.dead {
		return
	}
	c.dead = true
	c.cancel()
	if c.member == nil {
		return // a replay
	}
	time.AfterFunc(time.Millisecond+time.Duration(w.draw(c.id)%30)*time.Second, w.locked(func() {
		if c.member.now != nil {
			c.member.group.remove(c.member.now)
		}
	}))
	if w.consumers[c.id] == c { // else it was about to end
		w.consumers[c.id] = nil
		time.AfterFunc(down, w.locked(func() { w.startConsumer(c.id) }))
	}
}

// stop ends the process as SIGTERM does.
func (c *consumer) stop(down time.Duration) {
	w := c.w
	if w.consumers[c.id] != c {
		return
	}
	c.cancel()
	w.consumers[c.id] = nil
	time.AfterFunc(down, w.locked(func() { w.startConsumer(c.id) }))
}

// dies crashes a process that is armed for this insert.
func (c *consumer) dies(after bool) bool {
	if c.armed == 0 || after != c.after {
		return false
	}
	if c.armed--; c.armed > 0 {
		return false
	}
	c.crash(c.down)
	return true
}

// receiver is one life of a receiver process. The world's lock guards it.
type receiver struct {
	id, life int
	producer *kafka.Producer
	dead     bool

	// knows is which topic the receiver knows that it writes to, since when it does.
	knows int
	since time.Time
}

func (r *receiver) learn(topics int) {
	if r.knows != topics {
		r.knows, r.since = topics, time.Now()
	}
}

// startReceiver starts the process with this number, where it does not run.
func (w *world) startReceiver(id int) {
	if w.receivers[id] != nil {
		return
	}
	w.lives++
	r := &receiver{id: id, life: w.lives, knows: w.log.topics}
	r.producer = kafka.NewProducer(w.cfg, &producer{w: w, from: r}, kafka.ProducerOptions{Partitions: w.cfg.Partitions, Topic: topicReader{w, r.learn}})
	w.receivers[id] = r
}

// crashReceiver ends the process: what it sends is undecided, and it answers nobody.
func (w *world) crashReceiver(id int, down time.Duration) {
	r := w.receivers[id]
	if r == nil {
		return
	}
	r.dead = true
	w.receivers[id] = nil
	time.AfterFunc(down, w.locked(func() { w.startReceiver(id) }))
}
