// Package memory is the obvious map-based store: every rule of reading and writing spelled out in the plainest
// way. It is the specification that other stores are tested against, and a store for unit tests; nothing in it
// is durable.
package memory

import (
	"context"
	"sync"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Store holds everything in maps. Its methods may be called from several goroutines at once.
type Store struct {
	mu       sync.RWMutex
	series   map[store.Key]*series
	metadata map[metadataKey]store.Metadata
	progress map[topic]map[int32]int64
}

type metadataKey struct{ tenant, name string }

// New returns an empty store.
func New() *Store {
	return &Store{
		series:   map[store.Key]*series{},
		metadata: map[metadataKey]store.Metadata{},
		progress: map[topic]map[int32]int64{},
	}
}

// Write adds the batch; it implements [store.Writer]. It refuses a batch that lists a key for other labels or
// another tenant than before, and then writes nothing of it.
func (s *Store) Write(_ context.Context, b *store.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.register(b.Series); err != nil {
		return err
	}
	for i := range b.Samples.IDs {
		k := store.Key{Metric: b.Samples.Metrics[i], ID: b.Samples.IDs[i]}
		d := store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]}
		s.at(k).addSample(b.Samples.TimesMs[i], d.Float())
	}
	for _, st := range b.Starts {
		s.at(st.Key).addStart(st.TimeMs, st.StartMs)
	}
	for _, h := range b.Histograms {
		s.at(h.Key).addHistogram(h)
	}
	for _, e := range b.Exemplars {
		s.at(e.Key).addExemplar(e)
	}
	for _, m := range b.Metadata {
		s.metadata[metadataKey{m.Tenant, m.Name}] = m // the latest wins
	}
	for _, p := range b.Progress {
		s.advance(p)
	}
	return nil
}

// register checks all series before it adds the first.
func (s *Store) register(list []store.Series) error {
	seen := map[store.Key]store.Series{}
	for _, n := range list {
		if o, ok := s.series[n.Key]; ok && o.known && (o.tenant != n.Tenant || !labels.Equal(o.labels, n.Labels)) {
			return collision(n, o.tenant, o.labels)
		}
		if o, ok := seen[n.Key]; ok && (o.Tenant != n.Tenant || !labels.Equal(o.Labels, n.Labels)) {
			return collision(n, o.Tenant, o.Labels)
		}
		seen[n.Key] = n
	}
	for _, n := range list {
		o := s.at(n.Key)
		o.known, o.tenant, o.labels = true, n.Tenant, n.Labels.Copy()
		o.lives(n.MinMs)
		o.lives(n.MaxMs)
	}
	return nil
}

func collision(n store.Series, tenant string, ls labels.Labels) error {
	return store.Invalidf("cannot write series %s of tenant %q: its key %08x-%016x is that of %s of tenant %q",
		n.Labels, n.Tenant, n.Key.Metric, n.Key.ID, ls, tenant)
}

// at returns the series of the key. Points may come before the labels are known; nothing reads them until then.
func (s *Store) at(k store.Key) *series {
	o, ok := s.series[k]
	if !ok {
		o = newSeries(k)
		s.series[k] = o
	}
	return o
}

// topic is one generation of a topic.
type topic struct{ name, generation string }

// advance keeps the greatest offset: what was collected once stays collected when a part is replayed.
func (s *Store) advance(p store.Progress) {
	t := topic{p.Topic, p.Generation}
	partitions, ok := s.progress[t]
	if !ok {
		partitions = map[int32]int64{}
		s.progress[t] = partitions
	}
	partitions[p.Partition] = max(partitions[p.Partition], p.NextOffset)
}

// Progress returns, for each partition of a generation of the topic, the next offset to read.
func (s *Store) Progress(_ context.Context, name, generation string) (map[int32]int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[int32]int64{}
	for partition, next := range s.progress[topic{name, generation}] {
		out[partition] = next
	}
	return out, nil
}
