package db

import (
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestNotifications: a process that does not ask is told of changes, with TLS and without it, and also when it missed some
// while the server was away.
func TestNotifications(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) *testenv.Postgres{
		"plain": func(t *testing.T) *testenv.Postgres { return testenv.StartPostgres(t) },
		"TLS":   func(t *testing.T) *testenv.Postgres { return testenv.StartSecurePostgres(t, testenv.NewAuthority(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			b := &backend{config: Config{DSN: p.DSN}, server: p, poll: time.Hour}
			one, two := b.open(t, newClock()), b.open(t, newClock())
			change := func(id string) {
				t.Helper()
				within(t, "the change "+id, func() bool {
					_, err := one.CreateTenant(t.Context(), root, id, "")
					return err == nil || errors.Is(err, ErrExists)
				})
				within(t, "the other process knows of "+id, func() bool { return two.Snapshot().Active(id) })
			}
			change("before")
			change("again")
			p.Kill()
			p.Restart()
			change("after")
			change("later")
		})
	}
}

// TestTLS has two processes that speak TLS to a real PostgreSQL, with clients' certificates: what one changes the other
// is told of. A client without TLS or without a certificate is kept out.
func TestTLS(t *testing.T) {
	t.Parallel()
	p := testenv.StartSecurePostgres(t, testenv.NewAuthority(t))
	b := &backend{config: Config{DSN: p.DSN}, server: p}
	one, two := b.open(t, newClock()), b.open(t, newClock())
	if _, err := one.CreateTenant(t.Context(), root, "team-a", ""); err != nil {
		t.Fatal(err)
	}
	within(t, "the other process knows the tenant", func() bool { return two.Snapshot().Active("team-a") })

	u, err := url.Parse(p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]url.Values{
		"no TLS":         {"sslmode": {"disable"}},
		"no certificate": {"sslmode": {"verify-full"}, "sslrootcert": {u.Query().Get("sslrootcert")}},
		"no authority":   {"sslmode": {"verify-full"}, "sslcert": {u.Query().Get("sslcert")}, "sslkey": {u.Query().Get("sslkey")}},
	} {
		u.RawQuery = query.Encode()
		if d, err := Open(t.Context(), Config{DSN: u.String()}, Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
			d.Close()
			t.Errorf("%s: it was let in", name)
		}
	}
}
