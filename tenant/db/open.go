// Package db owns the metadata database: tenants, API keys and the audit log of every change to them, in PostgreSQL
// or in an SQLite file, with one set of migrations for both. It keeps a snapshot of all that requests are judged by in
// memory, so that no request waits for the database and requests go on while it is away. It leaves to its callers who
// may come in and what they may do with it.
package db

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/client_golang/prometheus"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Options are what a [DB] works with besides its configuration.
type Options struct {
	// Dir is the folder of the SQLite file.
	Dir string

	// Limits are those of a tenant that none are set for in the database.
	Limits limits.Limits

	// PII is what is done with the personal data of tenants that have no settings of their own.
	PII pii.Settings

	// LimitStatus is remote_write.limit_status, which can be set in the database too.
	LimitStatus int

	// PasswordCost is bcrypt's for passwords; 0 is 10, and less is for tests, under whose race detector it takes a second.
	PasswordCost int

	// Classes are the numbers of the retention classes that there are.
	Classes []uint8

	// PollEvery is how often the database is asked for changes of others, which PostgreSQL also tells of at once; 0 is every
	// two seconds.
	PollEvery time.Duration

	// Changes is before every change; nil is none.
	Changes *breaker.Breaker

	// Now is the clock, time.Now when nil.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// DB is the open database. Its methods may be called from several goroutines at once.
type DB struct {
	sql          *sql.DB
	postgres     bool
	passwordCost int
	limits       limits.Limits
	pii          pii.Settings
	personal     pii.Policy // hides what any detector finds
	limitStatus  int
	classes      []uint8
	pollEvery    time.Duration
	dsn          string
	changes      *breaker.Breaker
	now          func() time.Time
	logger       *slog.Logger
	metrics      *metrics

	snapshot atomic.Pointer[Snapshot]
	loading  sync.Mutex // held while the snapshot is replaced
	uses     sync.Map   // id of a key -> *atomic.Int64, the time of its last use in Unix milliseconds
}

// connectTimeout bounds one attempt to connect, in seconds, as PostgreSQL's own parameter has it.
const connectTimeout = "5"

// statementTimeout bounds whatever is done for one change or one refresh.
const statementTimeout = 5 * time.Second

// Open connects, brings the tables up to date and reads the first snapshot. An error is of the moment: trying again
// can help.
func Open(ctx context.Context, c Config, o Options) (*DB, error) {
	d := &DB{postgres: c.DSN != "", limits: o.Limits, pii: o.PII, limitStatus: o.LimitStatus, classes: o.Classes, changes: o.Changes, now: o.Now, logger: o.Logger}
	var err error
	if d.personal, err = pii.Discover(o.PII); err != nil {
		return nil, err
	}
	if d.passwordCost = o.PasswordCost; d.passwordCost == 0 {
		d.passwordCost = passwordCost
	}
	if d.pollEvery = o.PollEvery; d.pollEvery == 0 {
		d.pollEvery = pollEvery
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.postgres {
		err = d.openPostgres(c.DSN)
	} else {
		err = d.openSQLite(o.Dir)
	}
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		_ = d.sql.Close()
		return nil, err
	}
	d.metrics = newMetrics(o.Registerer, d)
	return d, nil
}

func (d *DB) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*statementTimeout)
	defer cancel()
	if err := d.migrate(ctx); err != nil {
		return err
	}
	_, err := d.refresh(ctx)
	return err
}

// name says in messages which database it is.
func (d *DB) name() string {
	if d.postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

func (d *DB) openPostgres(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return fmt.Errorf("cannot read metadata.dsn") // the library's error would show the password
	}
	q := u.Query()
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", connectTimeout)
	}
	u.RawQuery = q.Encode()
	d.dsn = u.String()
	connector, err := pq.NewConnector(d.dsn)
	if err != nil {
		return fmt.Errorf("cannot open PostgreSQL (metadata.dsn): %w", err)
	}
	connector.Dialer(&statements{})
	d.sql = sql.OpenDB(connector)
	d.sql.SetMaxOpenConns(4)
	return nil
}

// openSQLite opens the file, which nobody but the process's user can read. One connection is all that an SQLite file
// is good for, and it makes a change wait for the change before it.
func (d *DB) openSQLite(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot create the folder of the metadata (storage.path): %w", err)
	}
	path, err := filepath.Abs(filepath.Join(dir, File)) // of a relative one a URI would take the first folder for a host
	if err != nil {
		return fmt.Errorf("cannot open the metadata in %s: %w", dir, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the metadata: %w", err)
	}
	f.Close()
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"}
	if d.sql, err = sql.Open("sqlite", u.String()); err != nil {
		return fmt.Errorf("cannot open the metadata %s: %w", path, err)
	}
	d.sql.SetMaxOpenConns(1)
	return nil
}

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := version(ctx, d.sql)
	return err
}

// Close closes the connections. Run must have ended.
func (d *DB) Close() error { return d.sql.Close() }
