package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// histogramRowBytes is how many bytes of a histogram weigh as much as a row when memory is bounded.
const histogramRowBytes = 32

// reached is how far a batch takes a claim: every record before next is in it or in one before it.
type reached struct {
	next  int64
	maxMs int64 // the latest sample of the claim so far; 0: none
	at    time.Time
}

// pending is a batch that is being collected or written, with the records that it was made of.
type pending struct {
	seq     uint64
	rows    classes
	weight  int
	since   time.Time
	records []*sarama.ConsumerMessage

	// erased is the version of the list of erasures that the first of them was decoded with.
	erased uint64

	// progress is what the claims reach when the rows are written.
	progress []store.Progress
	claims   map[*claim]reached
}

func (p *pending) reset(seq uint64) {
	p.seq = seq
	p.rows.reset()
	p.weight = 0
	p.since = time.Time{}
	clear(p.records)
	p.records = p.records[:0]
	clear(p.claims)
}

// collector gathers the records of all claims into one batch while another is being written.
type collector struct {
	maxWeight int
	maxAge    time.Duration

	mu      sync.Mutex
	decoder record.Decoder
	filling *pending
	spare   *pending // nil while a batch is being written
	hurry   bool     // somebody waits for what is being filled
	written uint64   // the last batch that is done with
	changed chan struct{}
	wake    chan struct{} // tells the flusher to look again
}

func newCollector(maxWeight int, maxAge time.Duration) *collector {
	return &collector{
		maxWeight: maxWeight, maxAge: maxAge,
		filling: &pending{seq: 1, claims: make(map[*claim]reached)},
		spare:   &pending{claims: make(map[*claim]reached)},
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

// add decodes a record into the batch, without what was erased, by the list of a version. When both batches are full it waits, and returns ctx's error when that
// ends first. Another error is the record's: it is not in the batch, and has to be skipped or not.
func (c *collector) add(ctx context.Context, of *claim, m *sarama.ConsumerMessage, erased []*list.Entry, version uint64) error {
	for {
		c.mu.Lock()
		if c.filling.weight < c.maxWeight {
			err := c.take(of, m, erased, version)
			full := c.filling.weight >= c.maxWeight
			c.mu.Unlock()
			if full {
				c.nudge()
			}
			return err
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take decodes a record into the batch that is being filled.
func (c *collector) take(of *claim, m *sarama.ConsumerMessage, erased []*list.Entry, version uint64) error {
	p := c.filling
	b := p.rows.of(record.Class(m.Value))
	samples, histograms, before := b.Samples.Len(), len(b.Histograms), rows(b)
	if err := decodeKept(&c.decoder, b, m.Value, erased); err != nil {
		return err
	}
	if len(p.records) == 0 {
		p.erased = version
	}
	p.weight += 1 + rows(b) - before
	for _, at := range b.Samples.TimesMs[samples:] {
		of.maxMs = max(of.maxMs, at)
	}
	for i := histograms; i < len(b.Histograms); i++ {
		h := &b.Histograms[i]
		of.maxMs = max(of.maxMs, h.TimeMs)
		p.weight += len(h.Blob) / histogramRowBytes
	}
	p.records = append(p.records, m)
	c.advance(of, m)
	return nil
}

// skip counts a record as collected that nothing is collected of.
func (c *collector) skip(of *claim, m *sarama.ConsumerMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filling.weight++
	c.advance(of, m)
}

// advance moves the claim's position behind the record.
func (c *collector) advance(of *claim, m *sarama.ConsumerMessage) {
	p := c.filling
	if p.since.IsZero() {
		p.since = time.Now()
		c.nudge()
	}
	p.claims[of] = reached{next: m.Offset + 1, maxMs: of.maxMs, at: m.Timestamp}
	of.last = p.seq
	if of.first.IsZero() {
		of.first = m.Timestamp
	}
}

// first returns the time of the first record that was collected of a claim.
func (c *collector) first(of *claim) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return of.first
}

// nudge makes the flusher look again.
func (c *collector) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// ready returns a batch to write if one is due, else the time until one will be; 0 is not before a nudge.
func (c *collector) ready(now time.Time) (*pending, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.filling
	if c.spare == nil || p.since.IsZero() {
		return nil, 0
	}
	if wait := p.since.Add(c.maxAge).Sub(now); wait > 0 && p.weight < c.maxWeight && !c.hurry {
		return nil, wait
	}
	c.filling, c.spare, c.hurry = c.spare, nil, false
	c.filling.reset(p.seq + 1)
	c.announce()
	return p, 0
}

// done gives back a batch that ready returned.
func (c *collector) done(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = p.seq
	p.reset(0)
	c.spare = p
	c.announce()
}

// announce wakes everyone who waits for a change.
func (c *collector) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// drain waits until everything that was collected of the claim is done with, or until ctx ends.
func (c *collector) drain(ctx context.Context, of *claim) bool {
	for {
		c.mu.Lock()
		if c.written >= of.last {
			c.mu.Unlock()
			return true
		}
		if of.last == c.filling.seq {
			c.hurry = true
		}
		changed := c.changed
		c.mu.Unlock()
		c.nudge()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
