package cache

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/metricstream/metricstream/store"
)

const (
	// changesAge is for how long it is held to be true that nothing has changed.
	changesAge = time.Second

	// maxKnown is how many looks are kept.
	maxKnown = 1000

	// maxChanges is how many changes a query looks through.
	maxChanges = 10_000
)

// changes remembers for a moment what has changed, so that the panels of a dashboard do not all ask for the same.
type changes struct {
	reader store.ChangeReader
	now    func() time.Time

	mu    sync.Mutex
	known map[string]knownChanges
}

type knownChanges struct {
	changes store.Changes
	until   time.Time
}

// read returns what has changed of the metrics in a span, as it was at most changesAge ago.
func (c *changes) read(ctx context.Context, metrics []uint32, s span) (store.Changes, error) {
	key := changesKey(metrics, s)
	now := c.now()
	c.mu.Lock()
	known, ok := c.known[key]
	c.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.changes, nil
	}
	found, err := c.reader.Changes(ctx, metrics, s.from, s.to)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[key] = knownChanges{found, now.Add(changesAge)} // as of when it was asked
	return found, nil
}

func changesKey(metrics []uint32, s span) string {
	b := make([]byte, 0, 8+4*len(metrics))
	b = binary.LittleEndian.AppendUint32(b, uint32(store.ChangeHour(s.from)))
	b = binary.LittleEndian.AppendUint32(b, uint32(store.ChangeHour(s.to)))
	for _, m := range metrics {
		b = binary.LittleEndian.AppendUint32(b, m)
	}
	return string(b)
}
