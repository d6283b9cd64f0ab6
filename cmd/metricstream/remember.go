package main

import (
	"context"

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

// forgetAnswers returns what removes what Redis and this process have of a tenant's answers. Other processes do not use what they
// have any more, and drop it at the latest at the end of cache.ttl.
func (n *node) forgetAnswers() func(ctx context.Context, tenant string) error {
	client := n.redis()
	return func(ctx context.Context, tenant string) error {
		if e := n.parts.answers.Load(); e != nil {
			return e.Forget(ctx, tenant)
		}
		if client == nil {
			return nil
		}
		return cache.Forget(ctx, client, tenant)
	}
}
