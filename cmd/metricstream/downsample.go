package main

import (
	"context"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

// addDownsampler starts to fold hours, beside the consumer: the one that has the first partition does it.
func (n *node) addDownsampler(consumer *kafka.Consumer) {
	tiers := tiersOf(n.config.Retention)
	if tiers == 0 {
		return
	}
	d := rollup.NewDownsampler(n.config.Rollup, rollup.Options{
		Tables: n.parts.store, Log: written{log: n.parts.log, store: n.parts.store, topic: n.config.Kafka.Topic},
		Owner: func() bool { return consumer.Has(0) }, Tiers: tiers,
		Logger: n.logger, Registerer: n.registry,
	})
	n.stack.Go("the downsampler", d.Run)
}

// tiersOf returns the tiers that somebody keeps.
func tiersOf(c retention.Config) rollup.Tiers {
	policies := []retention.Policy{c.Policy}
	for _, class := range c.Classes {
		policies = append(policies, class.Policy)
	}
	var tiers rollup.Tiers
	for _, p := range policies {
		if p.Minute > 0 {
			tiers |= rollup.Minute.Set()
		}
		if p.Hour > 0 {
			tiers |= rollup.Hour.Set()
		}
	}
	return tiers
}

// written tells how far the log is written into ClickHouse.
type written struct {
	log   *kafka.Log
	store *clickhouse.Store
	topic string
}

// Partitions implements rollup.Log. A partition of which the log has no records waits for nothing.
func (w written) Partitions(ctx context.Context) ([]rollup.Partition, error) {
	ends, err := w.log.Ends(ctx)
	if err != nil {
		return nil, err
	}
	progress, err := w.store.Tiers(w.topic, ends.Generation).Progress(ctx)
	if err != nil {
		return nil, err
	}
	parts := make(map[int32]rollup.Partition, len(ends.Next))
	for id, next := range ends.Next {
		parts[id] = rollup.Partition{End: next}
	}
	for _, p := range progress {
		part := parts[p.Partition]
		part.Next, part.MaxMs = p.NextOffset, p.MaxMs
		parts[p.Partition] = part
	}
	out := make([]rollup.Partition, 0, len(parts))
	for _, p := range parts {
		out = append(out, p)
	}
	return out, nil
}
