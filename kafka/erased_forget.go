package kafka

import (
	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

// Forget makes the label sets of erased series travel again, where there are more samples of them: the tables may soon know
// them no longer.
func (p *Producer) Forget(e *list.Entry) {
	announced := p.announced.Load()
	e.Keys.Each(func(k store.Key) { announced.forget(k.Partition(p.partitions), k) })
}

// forget forgets a series.
func (a *announcements) forget(partition int, k store.Key) {
	part := &a.parts[partition]
	part.mu.Lock()
	defer part.mu.Unlock()
	delete(part.young, k)
	delete(part.old, k)
}
