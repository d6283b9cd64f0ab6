package main

import (
	"github.com/metricstream/metricstream/remotewrite/ha"
)

// elections starts what tells the replicas of a sender apart, over Redis where one is configured; nil is that every
// sender is listened to.
func (n *node) elections() *ha.Tracker {
	c := n.config.RemoteWrite.HA
	if !c.Enabled {
		return nil
	}
	o := ha.Options{Logger: n.logger, Registerer: n.registry}
	switch {
	case n.config.Redis.Address != "":
		o.Shared = ha.NewRedis(n.redis(), c.FailoverTimeout)
	case len(n.config.Kafka.Brokers) > 0:
		n.logger.Warn("HA replicas are deduplicated by this receiver alone: where there are several, set redis.address, or samples may be stored twice")
	}
	tracker := ha.New(c, o)
	n.stack.Go("the election of HA replicas", tracker.Run)
	return tracker
}
