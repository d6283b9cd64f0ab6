package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/strongread"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/remotewrite"
	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/metricstream/metricstream/tenant/federation"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/common/version"
	"go.opentelemetry.io/otel/trace"
)

// prefixes are where the APIs are served: as Prometheus does, and as Mimir does.
var prefixes = []string{"", "/prometheus"}

// parts are what the steps of the start leave for the steps after them.
type parts struct {
	policies *retention.Policies
	store    *clickhouse.Store
	log      *kafka.Log
	erased   *kafka.Erased    // nil until it is asked for, and where metadata is
	produce  *breaker.Breaker // before Kafka; nil where the log is embedded
	tracer   trace.Tracer     // nil without traces
	metadata *db.DB           // nil in a role of a cluster without metadata.dsn
	privacy  *pii.Policies
	found    func(tenant string, found map[codec.Found]int) // nil without metadata
	redis    *redisClient                                   // nil until it is needed
	answers  atomic.Pointer[cache.Engine]                   // nil in roles that do not query
}

// permanent says that opening something again cannot help.
func permanent(err error) bool { return store.KindOf(err) != store.KindUnavailable }

// openStore connects to ClickHouse, the embedded one where none is configured.
func (n *node) openStore(ctx context.Context) error {
	if !n.role.needsStore() {
		return nil
	}
	c := n.config.ClickHouse
	embedded := c.DSN == ""
	if embedded {
		dsn, err := n.startEngine(ctx)
		if err != nil {
			return err
		}
		c.DSN = dsn
	}
	reads := n.breaker("ClickHouse", clickhouse.Unreachable)
	err := n.retry(ctx, theTables, func() (err error) {
		n.parts.store, err = clickhouse.Open(ctx, c, clickhouse.Options{
			Reads: reads, History: n.parts.policies.History, Logger: n.logger, Registerer: n.registry,
		})
		return err
	})
	if err != nil {
		return err
	}
	n.stack.Push("ClickHouse connections", func(context.Context) error { return n.parts.store.Close() })
	n.checks = append(n.checks, web.Check{Name: "ClickHouse", Func: n.parts.store.Ping})
	n.dependencies = append(n.dependencies, dependency{"ClickHouse", embedded, n.parts.store.Ping, reads})
	return nil
}

// startEngine fetches the embedded engine where it is not yet there, and starts it.
func (n *node) startEngine(ctx context.Context) (dsn string, err error) {
	cache, err := engine.CacheDir()
	if err != nil {
		return "", err
	}
	library, err := engine.Fetch(ctx, cache, os.Stderr)
	if err != nil {
		return "", err
	}
	e, err := engine.Start(ctx, engine.Options{
		Dir: filepath.Join(n.config.Storage.Path, "clickhouse"), Library: library,
		Logger: n.logger, Registerer: n.registry,
	})
	if err != nil {
		return "", err
	}
	n.stack.Push("the embedded ClickHouse engine", e.Close)
	return e.DSN(), nil
}

// openLog opens Kafka, or the embedded log where no brokers are configured.
func (n *node) openLog(ctx context.Context) error {
	if !n.role.needsLog() {
		return nil
	}
	log, err := kafka.Open(ctx, n.config.Kafka, filepath.Join(n.config.Storage.Path, "log"), n.logger, n.registry)
	if err != nil {
		return err
	}
	n.parts.log = log
	n.stack.Push("the log", func(context.Context) error { return log.Close() })
	n.checks = append(n.checks, web.Check{Name: "the log", Func: log.Ping})
	if len(n.config.Kafka.Brokers) == 0 {
		n.dependencies = append(n.dependencies, dependency{"log", true, log.Ping, nil})
		return nil
	}
	n.parts.produce = n.breaker("Kafka", unavailable)
	n.dependencies = append(n.dependencies, dependency{"Kafka", false, log.Ping, n.parts.produce})
	return nil
}

// addConsumer starts to write the log into ClickHouse.
func (n *node) addConsumer(ctx context.Context) error {
	if !n.role.consumes {
		return nil
	}
	if err := n.guardErased(ctx); err != nil {
		return err
	}
	group, err := n.parts.log.Group()
	if err != nil {
		return err
	}
	erased := n.erased()
	consumer := kafka.NewConsumer(n.config.Kafka, kafka.ConsumerOptions{
		Group: group, Topic: n.parts.log, Writer: n.parts.store, Progress: n.parts.store, Erased: erased, DeadLetter: n.parts.log.DeadLetter,
		Tracer: n.parts.tracer, Logger: n.logger, Registerer: n.registry,
	})
	n.stack.Go("the consumer", consumer.Run)
	n.addDownsampler(consumer)
	janitor := retention.NewJanitor(n.parts.policies, n.parts.store, retention.Options{
		Owner: func() bool { return consumer.Has(0) }, Logger: n.logger, Registerer: n.registry,
	})
	n.stack.Go("the janitor", janitor.Run)
	n.addEraser(consumer, erased)
	return nil
}

// addReceiver serves remote write.
func (n *node) addReceiver(context.Context) error {
	if !n.role.receives {
		return nil
	}
	producer := kafka.NewProducer(n.config.Kafka, n.parts.log.Producer, kafka.ProducerOptions{
		Partitions: n.parts.log.Partitions, Topic: n.parts.log, Registerer: n.registry,
	})
	erased := n.erased()
	erased.Tell(producer.Forget)
	handler := n.serveWrites(erased.Guard(n.parts.produce.Writer(producer)))
	erased.Tell(func(e *list.Entry) { e.Keys.Each(handler.Forget) })
	return nil
}

// serveWrites serves remote write into a writer, by the handler that it returns.
func (n *node) serveWrites(w store.Writer) *remotewrite.Handler {
	limitStatus := func() int { return n.config.RemoteWrite.LimitStatus }
	if metadata := n.parts.metadata; metadata != nil {
		limitStatus = func() int { return metadata.Snapshot().LimitStatus(n.config.RemoteWrite.LimitStatus) }
	}
	handler := remotewrite.New(n.config.RemoteWrite, remotewrite.Options{
		Writer: w, Logger: n.logger, Registerer: n.registry, HA: n.elections(),
		Grant: n.limitsOf, Quota: n.quota(), LimitStatus: limitStatus,
		ClassOf: n.parts.policies.ClassOf, Privacy: n.parts.privacy.Of, Found: n.parts.found,
	})
	n.serveLimits()
	for _, prefix := range prefixes {
		for _, path := range []string{"/api/v1/write", "/api/v1/push", "/api/v1/receive"} {
			n.mux.Handle(prefix+path, auth.Write, handler)
		}
		// All of them are of the whole tenant.
		n.mux.Handle("GET "+prefix+"/api/v1/user_stats", auth.ReadAll, http.HandlerFunc(handler.UserStats))
		n.mux.Handle("GET "+prefix+"/api/v1/status/rejections", auth.ReadAll, http.HandlerFunc(handler.Rejections))
		n.mux.Handle("GET "+prefix+"/api/v1/status/ha", auth.ReadAll, http.HandlerFunc(handler.HA))
	}
	return handler
}

// serveLimits serves what a tenant is held to.
func (n *node) serveLimits() {
	for _, prefix := range prefixes {
		n.mux.Handle("GET "+prefix+"/api/v1/user_limits", auth.Read, limits.Handler(n.limitsOf))
	}
}

// addQuerier serves the Prometheus HTTP API.
func (n *node) addQuerier(context.Context) error {
	if !n.role.queries {
		return nil
	}
	return n.serveReads(access.New(n.parts.store), access.NewRollups(n.parts.store), n.gate().Handler)
}

// serveReads serves the Prometheus HTTP API over a store that has been narrowed to what a request may see; before lets
// reads wait.
func (n *node) serveReads(raw access.Store, rollups rollup.Reader, before func(http.Handler) http.Handler) error {
	q := n.config.Query
	tiers := tiered.Remember(rollups, n.registry)
	turns := promql.NewTurns(q, n.registry)
	evaluator := tiered.New(tiered.Options{Config: q, Tiers: tiers, Turns: turns, Logger: n.logger, Registerer: n.registry})
	n.stack.Push("the PromQL engine", func(context.Context) error { return evaluator.Close() })
	all := federation.New(raw)
	limits := adapter.Limits{MaxSeries: q.MaxSeries, MaxSamples: q.MaxSamples}
	a, err := api.New(api.Options{
		Config: q, Turns: turns, Grant: n.limitsOf, Engine: n.remembering(evaluator, tiers), Parser: promql.NewParser(),
		Queryable: adapter.NewTieredQueryable(all, federation.NewTiers(rollup.NewStitch(tiers, raw)), limits),
		Reader:    all, ExemplarReader: all, MetadataReader: all, Stats: all,
		Flags: shown(n.flags, n.config), ConfigYAML: n.config.YAML, Version: apiVersion(),
		Logger: n.logger, Registerer: n.registry,
	})
	if err != nil {
		return fmt.Errorf("cannot set up the HTTP API: %w", err)
	}
	if !n.role.receives {
		n.serveLimits() // those of queries hold here
	}
	reads := http.NewServeMux()
	handler := before(reads)
	for _, prefix := range prefixes {
		a.Register(reads, prefix)
		n.routeReads(prefix, a, handler)
		n.mux.Handle("GET "+prefix+"/api/v1/status/retention", auth.Read, retention.Status(n.parts.policies, rollups, tenant.FromRequest))
	}
	return nil
}

// gate starts what holds reads back that want to see all that was written before them.
func (n *node) gate() *strongread.Gate {
	var log strongread.Log
	switch {
	case n.parts.log != nil:
		log = n.parts.log
	case len(n.config.Kafka.Brokers) > 0:
		tail := kafka.NewTail(n.config.Kafka)
		n.stack.Push("the connection for strong reads", func(context.Context) error { return tail.Close() })
		log = tail
	}
	gate := strongread.New(strongread.Options{
		Config: n.config.StrongReads, Topic: n.config.Kafka.Topic, Log: log, Progress: n.parts.store, Registerer: n.registry,
	})
	n.stack.Go("strong reads", gate.Run)
	return gate
}

// promqlVersion is the version of Prometheus whose API and PromQL are served: clients decide by it what to ask.
const promqlVersion = "3.14.0"

func apiVersion() api.Version {
	return api.Version{
		Version: promqlVersion, Revision: version.GetRevision(), Branch: version.Branch, BuildUser: version.BuildUser,
		BuildDate: version.BuildDate, GoVersion: runtime.Version(), Application: "MetricStream",
	}
}
