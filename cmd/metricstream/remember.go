package main

import (
	"context"
	"sync/atomic"

	"github.com/metricstream/metricstream/erasure"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/common/version"
	prom "github.com/prometheus/prometheus/promql"
	library "github.com/redis/go-redis/v9"
)

// remembering returns an engine that remembers what another one answers, here and in Redis where one is configured. It is the
// engine itself where nothing is to be remembered, or nobody tells what has changed.
func (n *node) remembering(evaluator prom.QueryEngine, tiers rollup.Reader) prom.QueryEngine {
	if !n.config.Cache.Enabled || n.parts.store == nil {
		return evaluator
	}
	var shared library.Cmdable
	if client := n.redis(); client != nil {
		shared = client
	}
	e := cache.New(cache.Options{
		Config: n.config.Cache, Query: n.config.Query, Engine: evaluator, Changes: n.parts.store, Redis: shared,
		RawFrom: func(ctx context.Context, tenant string) (int64, error) { return rawFrom(ctx, tiers, tenant) },
		Build:   promqlVersion + " " + version.Version + " " + version.GetRevision(),
		Logger:  n.logger, Registerer: n.registry,
	})
	n.parts.answers.Store(e)
	return e
}

// rawFrom is from when on a tenant has raw samples.
func rawFrom(ctx context.Context, tiers rollup.Reader, tenant string) (int64, error) {
	covered, err := tiers.Coverage(ctx, tenant)
	if err != nil || len(covered[rollup.Raw]) == 0 {
		return 0, err
	}
	return covered[rollup.Raw][0].FromMs, nil
}

// forgetting are the tables that erasures work on, and what is remembered of them.
type forgetting struct {
	erasure.Tables
	answers *atomic.Pointer[cache.Engine]
	redis   *redisClient // nil without
}

// forgetting adds what is remembered to the tables that erasures work on.
func (n *node) forgetting(tables erasure.Tables) erasure.Tables {
	return forgetting{tables, &n.parts.answers, n.redis()}
}

// Changed implements [erasure.Tables]. What Redis and this process have of the tenant's answers is removed; other processes do
// not use what they have any more, and drop it at the latest at the end of cache.ttl.
func (f forgetting) Changed(ctx context.Context, tenant string) error {
	if err := f.Tables.Changed(ctx, tenant); err != nil {
		return err
	}
	if e := f.answers.Load(); e != nil {
		return e.Forget(ctx, tenant)
	}
	if f.redis == nil {
		return nil
	}
	return cache.Forget(ctx, f.redis, tenant)
}
