package db

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
)

var root = Actor{Name: "test", Tenants: []string{AllTenants}}

// backend is a database that several processes can open, each with its own DB.
type backend struct {
	config  Config
	dir     string
	limits  limits.Limits
	classes []uint8
	poll    time.Duration
	server  *testenv.Postgres // nil for SQLite
}

// onBoth runs a test on both databases, empty each time.
func onBoth(t *testing.T, test func(t *testing.T, b *backend)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, &backend{dir: t.TempDir()})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		p := testenv.StartPostgres(t)
		test(t, &backend{config: Config{DSN: p.DSN}, server: p})
	})
}

// goAway makes the database fail until back is called.
func (b *backend) goAway(t *testing.T, d *DB) (back func()) {
	t.Helper()
	if b.server != nil {
		b.server.Kill()
		return b.server.Restart
	}
	// Another connection that does not let go stands for a broken disk.
	conn, err := d.sql.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() { conn.Close() }
}

// clock can be set forward.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open opens the database as one process does, and runs it until the test ends.
func (b *backend) open(t *testing.T, c *clock) *DB {
	t.Helper()
	d, stop := b.start(t, c)
	t.Cleanup(stop)
	return d
}

func (b *backend) start(t *testing.T, c *clock) (d *DB, stop func()) {
	t.Helper()
	d, err := Open(t.Context(), b.config, Options{Dir: b.dir, PasswordCost: bcrypt.MinCost, Limits: b.limits, Classes: b.classes, PollEvery: b.poll, Now: c.Now, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return d, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
		if err := d.Close(); err != nil && !errors.Is(err, syscall.EPIPE) { // TLS to a server that was killed
			t.Error(err)
		}
	})
}

// within polls until ok, for at most the time that a change may take to arrive.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const limit = 30 * time.Second // 5 s are promised; the machine of a test may be busy
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// verdict is what a database thinks of a token now.
func verdict(d *DB, token string) Verdict {
	_, v := d.Snapshot().Authenticate(token, d.now())
	return v
}

func mustKey(t *testing.T, d *DB, s Spec) (*Key, string) {
	t.Helper()
	k, token, err := d.CreateKey(t.Context(), root, s)
	if err != nil {
		t.Fatal(err)
	}
	return k, token
}

// bytesOf returns all bytes of the SQLite files.
func (b *backend) bytesOf(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(raw)
	}
	return all
}

func mustUser(t *testing.T, d *DB, u User) {
	t.Helper()
	if _, err := d.CreateUser(t.Context(), root, u, password); err != nil {
		t.Fatal(err)
	}
}
