package ha

import (
	"context"
	"time"
)

// maxAsks is how many elections are asked about at once.
const maxAsks = 500

// Run exchanges what is known with the shared state every [Config.UpdateInterval] until ctx ends, and returns its
// error.
func (t *Tracker) Run(ctx context.Context) error {
	tick := time.NewTicker(t.config.UpdateInterval())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			t.update(ctx)
		}
	}
}

// update is one round: what is idle is forgotten, the rest exchanged.
func (t *Tracker) update(ctx context.Context) {
	list := t.forget()
	if t.shared == nil {
		return
	}
	for first := true; first || len(list) > 0; first = false { // once also about nothing, to learn whether it answers
		n := min(maxAsks, len(list))
		if t.exchange(ctx, list[:n], "") != nil {
			return
		}
		list = list[n:]
	}
	if t.away.Swap(false) {
		t.log.Info("the shared state of HA replicas answers again")
	}
}

// forget drops the clusters that nobody writes for and returns the others.
func (t *Tracker) forget() []*cluster {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	list := make([]*cluster, 0, len(t.clusters))
	for k, c := range t.clusters {
		if !c.idle(now) {
			list = append(list, c)
			continue
		}
		delete(t.clusters, k)
		if t.perTenant[k.Tenant]--; t.perTenant[k.Tenant] == 0 {
			delete(t.perTenant, k.Tenant)
		}
	}
	return list
}
