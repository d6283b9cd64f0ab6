package ha

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a [Tracker] needs of the rest of the program.
type Options struct {
	// Shared is the state that several receivers share; nil is that this process elects on its own.
	Shared Shared
	Logger *slog.Logger
	// Registerer gets the tracker's metrics.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now. Only differences count.
	Now func() time.Time
}

// Tracker knows which replica of each cluster is elected. Its methods may be called from several goroutines at once.
type Tracker struct {
	config  Config
	shared  Shared
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	// away is set while the shared state does not answer. Elections are decided here then, without asking.
	away atomic.Bool

	mu        sync.RWMutex
	clusters  map[Key]*cluster
	perTenant map[string]int
}

// New returns a tracker for a valid configuration.
func New(c Config, o Options) *Tracker {
	t := &Tracker{
		config: c, shared: o.Shared, log: o.Logger, now: o.Now,
		clusters: make(map[Key]*cluster), perTenant: make(map[string]int),
	}
	if t.now == nil {
		t.now = time.Now
	}
	t.metrics = newMetrics(o.Registerer, t)
	return t
}

// ErrTooManyClusters is in the chain of errors about max_clusters.
var ErrTooManyClusters = errors.New("too many clusters of replicas")

// Accept reports whether data of a replica is to be stored; false is that another replica of its cluster sends the
// same. It waits only where nobody of the cluster is known yet or the elected one is or was silent, and then at most
// about a second. Errors are of [store.KindLimit], or ctx's.
func (t *Tracker) Accept(ctx context.Context, tenant, clusterName, replica string) (bool, error) {
	c, err := t.cluster(Key{tenant, clusterName})
	if err != nil {
		return false, err
	}
	if v := c.judge(replica, t.now(), &t.config); v != ask {
		return v == accept, nil
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if v := c.judge(replica, t.now(), &t.config); v != ask {
		return v == accept, nil
	}
	elected, err := t.elect(ctx, c, replica)
	return elected == replica, err
}

// elect asks for a replica to be the elected one and returns which is. Where the shared state does not answer, the
// rule is applied to what is known here: data that nobody else may be sending is taken rather than dropped.
func (t *Tracker) elect(ctx context.Context, c *cluster, candidate string) (string, error) {
	if t.shared != nil && !t.away.Load() {
		if t.exchange(ctx, []*cluster{c}, candidate) == nil {
			return c.view(t.now()).Replica, nil
		}
		if err := ctx.Err(); err != nil {
			return "", err // the sender is gone, and decides nothing
		}
	}
	now := t.now()
	t.apply(c, Decide(c.view(now), Ask{Key: c.key, Candidate: candidate}, t.config.FailoverTimeout), now)
	return c.view(now).Replica, nil
}

// exchange tells the shared state what is known of clusters here and takes over what holds there. The candidate is
// one for all of them.
func (t *Tracker) exchange(ctx context.Context, list []*cluster, candidate string) error {
	now := t.now()
	asks := make([]Ask, len(list))
	for i, c := range list {
		asks[i] = Ask{Key: c.key, Mine: c.view(now), Candidate: candidate}
	}
	within, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	views, err := t.shared.Ask(within, asks)
	if err != nil {
		if ctx.Err() == nil {
			t.setAway(err)
		}
		return err
	}
	now = t.now()
	for i, c := range list {
		t.apply(c, views[i], now)
	}
	return nil
}

func (t *Tracker) apply(c *cluster, v View, now time.Time) {
	if replaced := c.apply(v, now); replaced != "" {
		t.metrics.changes.Inc()
		t.log.Info("another replica is elected", "tenant", c.key.Tenant, "cluster", c.key.Cluster, "replica", v.Replica, "instead_of", replaced)
	}
}

func (t *Tracker) setAway(err error) {
	t.metrics.errors.Inc()
	if !t.away.Swap(true) {
		t.log.Warn("the shared state of HA replicas does not answer; the replicas elected last stay, and failures of theirs are decided by each receiver alone", "err", err)
	}
}

// cluster returns what is known of a cluster, which it begins to know where there is room.
func (t *Tracker) cluster(k Key) (*cluster, error) {
	t.mu.RLock()
	c := t.clusters[k]
	t.mu.RUnlock()
	if c != nil {
		return c, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clusters[k]; c != nil {
		return c, nil
	}
	if n := t.config.MaxClusters; t.perTenant[k.Tenant] >= n || len(t.clusters) >= tenantsAtMost*n {
		return nil, store.Limitf("%w: the tenant has %d, and %q would be one more: raise remote_write.ha.max_clusters (%d), or see whether the label %s of the senders is what it should be",
			ErrTooManyClusters, t.perTenant[k.Tenant], k.Cluster, n, t.config.ClusterLabel)
	}
	c = newCluster(k, t.now())
	t.clusters[k] = c
	t.perTenant[k.Tenant]++
	return c, nil
}

// State is an election as people want to see it.
type State struct {
	Cluster string `json:"cluster"`
	Replica string `json:"replica"`

	// ElectedSince is when the replica took over, LastSeen when it was last heard by any receiver.
	ElectedSince time.Time `json:"electedSince"`
	LastSeen     time.Time `json:"lastSeen"`
}

// States returns the elections of a tenant's clusters that this receiver knows, sorted by cluster.
func (t *Tracker) States(tenant string) []State {
	t.mu.RLock()
	var list []*cluster
	for k, c := range t.clusters {
		if k.Tenant == tenant {
			list = append(list, c)
		}
	}
	t.mu.RUnlock()
	states := make([]State, 0, len(list))
	now := t.now()
	for _, c := range list {
		if v := c.view(now); v.Term > 0 {
			states = append(states, State{c.key.Cluster, v.Replica, now.Add(-v.Age).UTC(), now.Add(-v.SeenAge).UTC()})
		}
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Cluster, b.Cluster) })
	return states
}
