package kafka

import (
	"context"
	"fmt"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
)

// Guard returns the writer of a receiver, which refuses what is of a tenant that is being deleted: it was let in before, and
// would come behind what is erased. It may be tried again: there may be a new tenant of the name, and the list be old.
func (e *Erased) Guard(w store.Writer) store.Writer {
	if e == nil {
		return w
	}
	return store.WriterFunc(func(ctx context.Context, b *store.Batch) error {
		defer e.begin()()
		if s := e.state.Load(); s != nil && len(s.deleted) > 0 && s.deleted[tenantOf(b)] {
			return fmt.Errorf("the tenant %q is being deleted", tenantOf(b))
		}
		return w.Write(ctx, b)
	})
}

// tenantOf returns the tenant of a request's batch, which lists all of its series.
func tenantOf(b *store.Batch) string {
	switch {
	case len(b.Series) > 0:
		return b.Series[0].Tenant
	case len(b.Metadata) > 0:
		return b.Metadata[0].Tenant
	}
	return ""
}

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
