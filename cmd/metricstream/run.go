package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// stopTimeout bounds a graceful stop: what was acknowledged is in the log, so a harder end loses nothing.
const stopTimeout = time.Minute

// node is one process while it starts and runs.
type node struct {
	role     role
	config   config.Config
	flags    *flags
	logger   *slog.Logger
	registry registry
	stack    *lifecycle.Stack
	parts    parts
	guard    *auth.Guard
	mux      *web.Router
	checks   []web.Check

	dependencies []dependency

	passwordCost int // for bcrypt; 0 is the default, which tests cannot wait for

	// limitsOf returns what a request of a tenant is held to, as of now; it is set when the metadata is open, before any
	// part that asks it is built.
	limitsOf func(ctx context.Context, tenantID string) limits.Grant
}

// registry is where the parts of a process register their metrics, and where all of them are read.
type registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// run runs a role until ctx ends or a part fails for good.
func run(ctx context.Context, r role, f *flags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	if err := r.check(c); err != nil {
		return err
	}
	if f.configCheck {
		fmt.Println("The configuration is valid.")
		return nil
	}
	logger := c.Log.Logger(os.Stderr)
	n := &node{
		role: r, config: c, flags: f, logger: logger,
		registry: newRegistry(), stack: lifecycle.New(logger),
		parts: parts{policies: retention.NewPolicies(c.Retention)},
	}
	n.guard = auth.New(c.Auth, auth.Options{Registerer: n.registry, CORS: api.NewCORS(c.Query.CORSOrigin).Allow})
	n.mux = web.NewRouter(n.guard)
	err = n.serve(ctx)
	if ctx.Err() != nil {
		logger.Info("stopping")
		if errors.Is(err, context.Canceled) {
			err = nil
		}
	}
	return errors.Join(err, n.stack.Stop(stopTimeout))
}

// check refuses what a role of a cluster cannot do alone.
func (r role) check(c config.Config) error {
	switch {
	case r.embeds():
		return nil
	case c.Auth.Enabled && c.Metadata.DSN == "":
		return fmt.Errorf("a %s with auth.enabled needs PostgreSQL: set metadata.dsn (--metadata.dsn); the embedded database works only in one process, `metricstream all`", r.name)
	case r.needsLog() && len(c.Kafka.Brokers) == 0:
		return fmt.Errorf("a %s needs Kafka: set kafka.brokers (--kafka.brokers); the embedded log works only in one process, `metricstream all`", r.name)
	case r.needsStore() && c.ClickHouse.DSN == "":
		return fmt.Errorf("a %s needs a ClickHouse server: set clickhouse.dsn (--clickhouse.dsn); the embedded engine works only in one process, `metricstream all`", r.name)
	}
	return nil
}

// serve starts everything in order and waits. What it has started is on the stack, also when it fails.
func (n *node) serve(ctx context.Context) error {
	server, err := n.build(ctx)
	if err != nil {
		return err
	}
	server.Open(n.mux, n.checks)
	n.stack.Push("requests", server.Drain)
	n.greet(server.Addr().String())
	return n.stack.Wait(ctx)
}

// build starts everything but the answering of requests.
func (n *node) build(ctx context.Context) (*web.Server, error) {
	metrics := promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{Registry: n.registry, EnableOpenMetrics: true})
	server := web.New(n.config.Web, n.guard, metrics, n.logger)
	var err error
	if n.parts.tracer, err = n.openTracing(ctx); err != nil {
		return nil, err
	}
	server.Trace(n.parts.tracer)
	if err := server.Listen(); err != nil {
		return nil, err
	}
	server.RegisterMetrics(n.registry)
	n.stack.Go("the HTTP server", server.Run)
	n.logger.Info("starting", "role", n.role.name, "address", server.Addr().String())
	for _, step := range []func(context.Context) error{n.openMetadata, n.openStore, n.openLog, n.addConsumer, n.addReceiver, n.addQuerier} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	n.addDependencies()
	n.addAdmin(server.Routes())
	return server, nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	registerProcess(r)
	return r
}

// registerProcess adds what every process has.
func registerProcess(r prometheus.Registerer) {
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		version.NewCollector("metricstream"),
	)
}

// What a start waits for, with the keys that say where it is.
const (
	theMetadata = "the metadata database (metadata.dsn)"
	theTables   = "ClickHouse (clickhouse.dsn, clickhouse.tls)"
)

// retry calls open until it succeeds or ctx ends: on a cluster the other side may come up later.
func (n *node) retry(ctx context.Context, what string, open func() error) error {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := open()
		if err == nil {
			return nil
		}
		if permanent(err) {
			return err
		}
		n.logger.Warn("waiting for "+what, "err", err, "next_try_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
