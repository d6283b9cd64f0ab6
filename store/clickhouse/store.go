// Package clickhouse keeps series and samples in ClickHouse: the schema and its migrations, the writer, and the
// reader. It is the only code that talks to ClickHouse. It is given a DSN and leaves to its caller whether a
// server or the embedded engine answers there, what is written when, and how long data is kept.
package clickhouse

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/retention"
)

// Options are what a Store uses of its surroundings. All may be nil.
type Options struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// Reads is before every read of samples and rows of tiers; nil is none. Writes do without: whoever writes tries for
	// ever, and waits between his tries.
	Reads *breaker.Breaker

	// History returns the retention classes of a tenant's data, the newest first; nil is that all have had class 0 for ever.
	History func(tenant string, now time.Time) []retention.Past
}

// Store is a database of series and samples in ClickHouse. Its methods may be called from several goroutines
// at once. Errors have a [store.Kind]; an unreachable or overloaded ClickHouse is [store.KindUnavailable].
type Store struct {
	admin clickhouse.Conn

	// Reads that wait for other reads of the same selection, and writes, must not wait for a connection that
	// only they could set free; so each kind has its own.
	writes, reads, besides, tiers *pool

	sorters sorterPool
	history func(tenant string, now time.Time) []retention.Past
	breaker *breaker.Breaker
	metrics *metrics
	server  Server

	// How the store was opened, for a shadow beside it.
	options        *clickhouse.Options
	maxConnections int
}

var (
	_ store.Writer         = (*Store)(nil)
	_ store.Reader         = (*Store)(nil)
	_ store.ExemplarReader = (*Store)(nil)
	_ store.MetadataReader = (*Store)(nil)
	_ store.StatsReader    = (*Store)(nil)
)

// Open connects, looks whether the server can do what is needed, creates the database and brings its schema up
// to date. It does not wait for a server that is not there: the caller may call it again.
func Open(ctx context.Context, cfg Config, opt Options) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, store.Invalidf("cannot use the configuration of ClickHouse: %w", err)
	}
	o, err := cfg.parse()
	if err != nil {
		return nil, store.Invalidf("cannot use the configuration of ClickHouse: %w", err)
	}
	return open(ctx, o, cfg.MaxConnections, opt)
}

func open(ctx context.Context, o *clickhouse.Options, maxConnections int, opt Options) (*Store, error) {
	logger := opt.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	server, err := prepare(ctx, o, logger)
	if err != nil {
		return nil, err
	}
	admin, err := clickhouse.Open(adminOptions(o, o.Auth.Database))
	if err != nil {
		return nil, fmt.Errorf("cannot open ClickHouse: %w", err)
	}
	s := &Store{
		admin:   admin,
		writes:  newPool(chOptions(o), o.Addr, maxConnections),
		reads:   newPool(chOptions(o), o.Addr, maxConnections),
		besides: newPool(chOptions(o), o.Addr, maxConnections),
		tiers:   newPool(chOptions(o), o.Addr, maxConnections),
		server:  server,
		options: o, maxConnections: maxConnections,
		history: opt.History, breaker: opt.Reads,
	}
	if s.history == nil {
		s.history = retention.NewPolicies(retention.DefaultConfig()).History
	}
	if err := migrate(ctx, admin, logger); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := tune(ctx, admin); err != nil {
		_ = s.Close()
		return nil, err
	}
	// Nothing can fail any more: whoever tries again registers once.
	s.metrics = newMetrics(opt.Registerer)
	if opt.Registerer != nil {
		opt.Registerer.MustRegister(newUsage(admin))
	}
	return s, nil
}

// prepare looks at the server and creates the database. It has a connection of its own, because one that names
// the database cannot be made before the database is there.
func prepare(ctx context.Context, o *clickhouse.Options, logger *slog.Logger) (Server, error) {
	conn, err := clickhouse.Open(adminOptions(o, "default"))
	if err != nil {
		return Server{}, fmt.Errorf("cannot open ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	server, err := probe(ctx, conn)
	if err != nil {
		return Server{}, err
	}
	if missing := server.Recommended(); missing != "" {
		logger.Warn("ClickHouse works, with a reservation", "version", server.Version, "reservation", missing)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"db": o.Auth.Database}))
	if err := retryRace(ctx, func() error { return conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS {db:Identifier}") }); err != nil {
		return Server{}, fmt.Errorf("cannot create database %q: %w", o.Auth.Database, openVerdict(err))
	}
	return server, nil
}

func adminOptions(o *clickhouse.Options, database string) *clickhouse.Options {
	a := *o
	a.Auth.Database = database
	a.MaxOpenConns, a.MaxIdleConns = 4, 2
	a.ConnMaxLifetime = 10 * time.Minute
	a.Settings = clickhouse.Settings{"log_comment": "metricstream admin", "async_insert": 0}
	for k, v := range o.Settings {
		a.Settings[k] = v
	}
	return &a
}

// Close closes all connections. Statements that run end first.
func (s *Store) Close() error {
	s.writes.close()
	s.reads.close()
	s.besides.close()
	s.tiers.close()
	return s.admin.Close()
}

// Ping reports whether ClickHouse answers and the tables are there.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.admin.Exec(ctx, "SELECT 1 FROM samples LIMIT 0"); err != nil {
		return fmt.Errorf("cannot reach the tables in ClickHouse: %w", verdict(err))
	}
	return nil
}

// Server returns what was found out about the server when the store was opened.
func (s *Store) Server() Server { return s.server }
