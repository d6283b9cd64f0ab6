package ha

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Config is the section remote_write.ha of the configuration.
type Config struct {
	// Enabled switches the deduplication on.
	Enabled bool `yaml:"enabled"`

	// ClusterLabel and ReplicaLabel are the external labels that say which replicas belong together and which of
	// them a sender is. The replica's label is not stored.
	ClusterLabel string `yaml:"cluster_label"`
	ReplicaLabel string `yaml:"replica_label"`

	// FailoverTimeout is how long the elected replica has to be silent before another one takes over.
	FailoverTimeout time.Duration `yaml:"failover_timeout"`

	// MaxClusters bounds the clusters of a tenant. Requests of one more are answered with 529 and come again.
	MaxClusters int `yaml:"max_clusters"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{ClusterLabel: "cluster", ReplicaLabel: "__replica__", FailoverTimeout: 30 * time.Second, MaxClusters: 100}
}

const minFailover = time.Second

// Validate checks the section; its errors name the key.
func (c Config) Validate() error {
	for _, l := range []struct{ key, name string }{{"cluster_label", c.ClusterLabel}, {"replica_label", c.ReplicaLabel}} {
		if l.name == "" || l.name == labels.MetricName {
			return fmt.Errorf("remote_write.ha.%s is %q: set it to the name of an external label of the senders", l.key, l.name)
		}
	}
	switch {
	case c.ClusterLabel == c.ReplicaLabel:
		return fmt.Errorf("remote_write.ha.replica_label is %q, as is cluster_label: the replicas of a cluster have to differ in a label of their own", c.ReplicaLabel)
	case c.FailoverTimeout < minFailover:
		return fmt.Errorf("remote_write.ha.failover_timeout is %s: set it to at least %s, and to more than two scrape intervals", c.FailoverTimeout, minFailover)
	case c.MaxClusters < 1 || c.MaxClusters > 1_000_000:
		return fmt.Errorf("remote_write.ha.max_clusters is %d: set it to a number from 1 to 1000000", c.MaxClusters)
	}
	return nil
}

const (
	// maxUpdateInterval and updatesPerFailover say how often receivers tell each other what they have heard.
	maxUpdateInterval  = 5 * time.Second
	updatesPerFailover = 10

	// askTimeout is how long the shared state may take to answer.
	askTimeout = time.Second

	// forgetAfter is how long a cluster is remembered after nobody has written for it.
	forgetAfter = time.Hour

	// tenantsAtMost bounds the clusters of all tenants together, as a multiple of max_clusters.
	tenantsAtMost = 1000
)

// UpdateInterval is how often a receiver exchanges what it knows of each cluster with the shared state.
func (c Config) UpdateInterval() time.Duration {
	return min(c.FailoverTimeout/updatesPerFailover, maxUpdateInterval)
}
