// Package api owns the HTTP API of Prometheus, /api/v1 and /federate, over any PromQL engine and any store: the
// parsing of parameters, the rules of each endpoint, the JSON text of results and the remote read protocol. It
// leaves evaluation to the engine, data to the store, and the listener, TLS and the write endpoints to its
// caller.
//
// What a client can see follows Prometheus 3.14. Where it differs on purpose: a store that is out of order is
// 503 "unavailable" instead of 422 or 500, so that Grafana shows the message; a query that waits too long for
// its turn is a timeout; parameters that Prometheus silently ignores, such as a broken URL encoding or a time
// of NaN, are refused with their name.
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Options are what an [API] works with. Engine, Queryable and Reader are needed; what else is nil has a
// default or makes its endpoint answer with nothing.
type Options struct {
	Config promql.Config

	// ReadFrameBytes is the size at which a frame of a streamed remote read is sent; zero is 1 MiB.
	ReadFrameBytes int

	// Turns are what other reads than evaluations wait for; nil makes some. The engine is to have the same, so that there is
	// one queue.
	Turns *promql.Turns

	// Grant tells what a request of a tenant is held to; nil is nothing beyond Config.
	Grant func(ctx context.Context, tenant string) limits.Grant

	// Engine evaluates. Parser must be of the same dialect as the engine's; nil is Prometheus' default parser.
	Engine prom.QueryEngine
	Parser parser.Parser

	// Queryable is where the engine and remote read find samples, Reader where series, label names and label
	// values come from. Both are asked with the tenant in the context or in the selection.
	Queryable storage.Queryable
	Reader    store.Reader

	// ExemplarReader and MetadataReader may be nil: then there are no exemplars and no metadata.
	ExemplarReader store.ExemplarReader
	MetadataReader store.MetadataReader

	// Stats is behind status/tsdb; nil answers with zeros.
	Stats store.StatsReader

	// Flags are shown as they are, so they must hold no secrets; the same is true of what ConfigYAML returns.
	Flags      map[string]string
	ConfigYAML func() string
	Version    Version

	// Now is the clock, time.Now when nil.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// API answers the requests of clients. Its methods may be called from several goroutines at once.
type API struct {
	Options

	start     time.Time
	endpoints map[string]endpoint
	cors      *CORS
	metrics   *metrics
	compress  func(http.Handler) http.HandlerFunc
}

// New checks the options and registers the metrics; it starts nothing.
func New(o Options) (*API, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Engine == nil || o.Queryable == nil || o.Reader == nil {
		return nil, fmt.Errorf("cannot make the HTTP API: Engine, Queryable and Reader are all needed")
	}
	o.setDefaults()
	compress, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("cannot make the compressing handler: %w", err)
	}
	a := &API{
		Options:  o,
		start:    o.Now(),
		cors:     NewCORS(o.Config.CORSOrigin),
		compress: compress,
	}
	a.metrics, err = newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	a.endpoints = a.table()
	return a, nil
}

func (o *Options) setDefaults() {
	if o.Parser == nil {
		o.Parser = parser.NewParser(parser.Options{})
	}
	if o.ConfigYAML == nil {
		o.ConfigYAML = func() string { return "" }
	}
	if o.Turns == nil {
		o.Turns = promql.NewTurns(o.Config, nil)
	}
	if o.Grant == nil {
		o.Grant = func(_ context.Context, tenant string) limits.Grant { return limits.Grant{Tenant: tenant} }
	}
	if o.ReadFrameBytes == 0 {
		o.ReadFrameBytes = 1 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
}
