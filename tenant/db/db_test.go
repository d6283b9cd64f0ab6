package db

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
)

func TestConfig(t *testing.T) {
	for _, good := range []string{"", "postgres://u:p@host:5432/d", "postgresql://host/d?sslmode=disable"} {
		if err := (Config{DSN: good}).Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"postgres://a:secret@h/db?sslrootcert=/nowhere/ca.crt", "mysql://host/d", "host=localhost password=secret", "postgres:///d", "postgres://u:secret@host:x/d"} {
		err := (Config{DSN: bad}).Validate()
		if err == nil || !strings.Contains(err.Error(), "metadata.dsn") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	for _, dsn := range []string{"postgres://u:secret@host/d", "postgres://host/d?password=secret&user=u"} {
		if got := (Config{DSN: dsn}).Redacted().DSN; strings.Contains(got, "secret") || !strings.Contains(got, "host") {
			t.Errorf("%s is shown as %s", dsn, got)
		}
	}
}

// TestLife goes through everything that can be done to a tenant and its keys.
func TestLife(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		d := b.open(t, c)
		ctx := t.Context()
		if _, err := d.CreateTenant(ctx, root, "team-a", "the team a"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.CreateTenant(ctx, root, "team-a", ""); !errors.Is(err, ErrExists) {
			t.Errorf("a second tenant of the name: %v", err)
		}
		if _, err := d.CreateTenant(ctx, root, "a|b", ""); store.KindOf(err) != store.KindInvalid {
			t.Errorf("a bad name: %v", err)
		}
		if _, _, err := d.CreateKey(ctx, root, Spec{Tenant: "nobody", Scopes: []string{"read"}}); store.KindOf(err) != store.KindInvalid {
			t.Errorf("a key of a tenant that is not there: %v", err)
		}
		k, token := mustKey(t, d, Spec{Tenant: "team-a", Scopes: []string{"read", "write"}, Selector: `{env="prod"}`, Lifetime: time.Hour})
		got, v := d.Snapshot().Authenticate(token, c.Now())
		if v != Good || got.ID != k.ID || got.Tenant != "team-a" || !got.Has("write") || got.Has("admin") || len(got.Matchers()) != 1 || !got.Covers("team-a") || got.Covers("anonymous") {
			t.Errorf("%v, %+v", v, got)
		}
		wrong := token[:len(token)-1] + string("01"[1-strings.Count(token[len(token)-1:], "1")])
		for bad, want := range map[string]Verdict{wrong: Wrong, "": Unknown, "ms_": Unknown, token + "0": Unknown, strings.Replace(token, k.ID, strings.Repeat("0", 16), 1): Unknown} {
			if got := verdict(d, bad); got != want {
				t.Errorf("%q is %s, want %s", bad, got, want)
			}
		}

		next, nextToken, err := d.RotateKey(ctx, root, k.ID, Rotation{Overlap: 10 * time.Minute})
		if err != nil || next.Selector != k.Selector || next.Tenant != k.Tenant || next.Expires.Sub(c.Now()).Round(time.Second) != time.Hour || next.ID == k.ID {
			t.Fatalf("%+v, %v", next, err)
		}
		if verdict(d, token) != Good || verdict(d, nextToken) != Good {
			t.Error("in the overlap not both keys are good")
		}
		c.forward(11 * time.Minute)
		if verdict(d, token) != Expired || verdict(d, nextToken) != Good {
			t.Errorf("after the overlap: %s, %s", verdict(d, token), verdict(d, nextToken))
		}
		if _, _, err := d.RotateKey(ctx, root, k.ID, Rotation{}); store.KindOf(err) != store.KindInvalid {
			t.Errorf("a dead key was rotated: %v", err)
		}
		for range 2 {
			if err := d.RevokeKey(ctx, root, next.ID); err != nil {
				t.Fatal(err)
			}
		}
		if verdict(d, nextToken) != Revoked {
			t.Errorf("a revoked key is %s", verdict(d, nextToken))
		}
		if _, err := d.UpdateTenant(ctx, root, "team-a", func(t *Tenant) { t.Disabled = c.Now() }); err != nil || d.Snapshot().Active("team-a") || !d.Snapshot().Active("anonymous") {
			t.Errorf("a disabled tenant is active: %v", err)
		}
		checkAudit(t, d, token, nextToken)
	})
}

// checkAudit expects the entries of TestLife, without secrets.
func checkAudit(t *testing.T, d *DB, secrets ...string) {
	t.Helper()
	log, err := d.Audit(t.Context(), root, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, e := range log {
		got = append(got, e.Action)
		if e.Version != int64(len(log)-i) || e.Actor != "test" || e.Time.IsZero() {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if want := "tenant.update key.revoke key.rotate key.create tenant.create"; strings.Join(got, " ") != want {
		t.Errorf("the audit log has %v, want %s", got, want)
	}
	text := string(encode(log))
	for _, s := range secrets {
		if strings.Contains(text, s[prefixLen:]) {
			t.Error("a secret is in the audit log")
		}
	}
	var before, after Key
	if json.Unmarshal(log[1].Before, &before) != nil || json.Unmarshal(log[1].After, &after) != nil || !before.Revoked.IsZero() || after.Revoked.IsZero() {
		t.Errorf("before %s, after %s", log[1].Before, log[1].After)
	}
	older, err := d.Audit(t.Context(), root, 3, 1)
	if err != nil || len(older) != 1 || older[0].Version != 2 {
		t.Errorf("a page: %+v, %v", older, err)
	}
}

// TestOthersSeeChanges opens the database twice, as two processes do: a key made here is good there, and revoked there
// refused here, within 5 s.
func TestOthersSeeChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		here, there := b.open(t, c), b.open(t, c)
		k, token := mustKey(t, here, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
		within(t, "the key there", func() bool { return verdict(there, token) == Good })
		if err := there.RevokeKey(t.Context(), root, k.ID); err != nil {
			t.Fatal(err)
		}
		within(t, "the revocation here", func() bool { return verdict(here, token) == Revoked })
	})
}

// TestAway takes the database away: what is known goes on to be known, changes fail as something to try again, and
// work when it is back.
func TestAway(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		d := b.open(t, c)
		_, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
		back := b.goAway(t, d)
		if _, _, err := d.CreateKey(t.Context(), root, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}}); err == nil || store.KindOf(err) != store.KindUnavailable {
			t.Errorf("a change without the database: %v", err)
		}
		if verdict(d, token) != Good {
			t.Error("the key is not known any more")
		}
		back()
		within(t, "a change", func() bool {
			_, err := d.CreateTenant(t.Context(), root, "later", "")
			return err == nil || errors.Is(err, ErrExists)
		})
		other := b.open(t, c)
		if verdict(other, token) != Good {
			t.Error("the key is gone")
		}
		// Notifications and polling go on too.
		k, _, err := other.CreateKey(t.Context(), root, Spec{Tenant: "later", Scopes: []string{"read"}})
		if err != nil {
			t.Fatal(err)
		}
		within(t, "a change of another process", func() bool { return d.Snapshot().keys[k.ID] != nil })
	})
}

// TestFirstKey starts several processes at once: exactly one of them makes the first key.
func TestFirstKey(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		var mu sync.Mutex
		var tokens []string
		var all sync.WaitGroup
		for range 3 {
			d := b.open(t, c)
			all.Go(func() {
				token, err := d.FirstKey(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if token != "" {
					tokens = append(tokens, token)
				}
			})
		}
		all.Wait()
		if len(tokens) != 1 {
			t.Fatalf("%d first keys", len(tokens))
		}
		d := b.open(t, c)
		k, v := d.Snapshot().Authenticate(tokens[0], c.Now())
		if v != Good || !k.Everywhere() || !k.Has(ScopeAdmin) {
			t.Fatalf("%s: %+v", v, k)
		}
		if err := d.RevokeKey(t.Context(), root, k.ID); err != nil {
			t.Fatal(err)
		}
		if token, err := d.FirstKey(t.Context()); err != nil || token == "" {
			t.Errorf("without any key left there is no first one: %v", err)
		}
	})
}

// TestLastUse is written at the end of Run, and never goes back.
func TestLastUse(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		d, stop := b.start(t, c)
		k, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
		c.forward(time.Hour)
		used := c.Now().UnixMilli()
		verdict(d, token)
		// A change reads the keys again; the use must not be lost by that.
		if _, err := d.CreateTenant(t.Context(), root, "other", ""); err != nil {
			t.Fatal(err)
		}
		stop()
		again := b.open(t, c)
		if got, err := again.Key(t.Context(), root, k.ID); err != nil || got.LastUsed.UnixMilli() != used {
			t.Errorf("last used %v, want %d: %v", got.LastUsed, used, err)
		}
	})
}

// TestTenantAdmins may manage their own tenants' keys, and none that can do more than they.
func TestTenantAdmins(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		ctx := t.Context()
		for _, id := range []string{"a", "b"} {
			if _, err := d.CreateTenant(ctx, root, id, ""); err != nil {
				t.Fatal(err)
			}
		}
		own, _ := mustKey(t, d, Spec{Tenant: "a", Scopes: []string{"admin"}})
		others, _ := mustKey(t, d, Spec{Tenant: "b", Scopes: []string{"read"}})
		strong, _ := mustKey(t, d, Spec{Tenant: "a", Scopes: []string{"admin"}, Tenants: []string{AllTenants}})
		wide, _ := mustKey(t, d, Spec{Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"b"}})
		by := own.Actor()
		for _, k := range []*Key{others, strong, wide} {
			if _, err := d.Key(ctx, by, k.ID); !errors.Is(err, ErrNotFound) {
				t.Errorf("reads %+v: %v", k, err)
			}
			if _, _, err := d.RotateKey(ctx, by, k.ID, Rotation{}); !errors.Is(err, ErrNotFound) {
				t.Errorf("rotates %+v: %v", k, err)
			}
			if err := d.RevokeKey(ctx, by, k.ID); !errors.Is(err, ErrNotFound) {
				t.Errorf("revokes %+v: %v", k, err)
			}
		}
		for _, s := range []Spec{
			{Tenant: "b", Scopes: []string{"read"}},
			{Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"b"}},
			{Tenant: "a", Scopes: []string{"admin"}, Tenants: []string{AllTenants}},
		} {
			if _, _, err := d.CreateKey(ctx, by, s); !errors.Is(err, ErrForbidden) {
				t.Errorf("creates %+v: %v", s, err)
			}
		}
		if _, err := d.CreateTenant(ctx, by, "c", ""); !errors.Is(err, ErrForbidden) {
			t.Errorf("creates a tenant: %v", err)
		}
		if _, err := d.UpdateTenant(ctx, by, "a", func(*Tenant) {}); !errors.Is(err, ErrForbidden) {
			t.Errorf("changes its tenant: %v", err)
		}
		if _, _, err := d.CreateKey(ctx, by, Spec{Tenant: "a", Scopes: []string{"write"}}); err != nil {
			t.Error(err)
		}
		keys, err := d.Keys(ctx, by)
		if err != nil || len(keys) != 2 {
			t.Errorf("sees %d keys: %v", len(keys), err)
		}
		tenants, err := d.Tenants(ctx, by)
		if err != nil || len(tenants) != 1 || tenants[0].ID != "a" {
			t.Errorf("sees %+v: %v", tenants, err)
		}
		// What became of what they cannot see is not for them either, also when it could be seen before or afterwards.
		mustUser(t, d, User{Name: "olga", Tenant: "a", Role: RoleAdmin})
		for _, tenants := range [][]string{{AllTenants}, {}} {
			if _, err := d.UpdateUser(ctx, root, "olga", "", func(u *User) { u.Tenants = tenants }); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := d.RotateKey(ctx, root, strong.ID, Rotation{}); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{100, 2} {
			log, err := d.Audit(ctx, by, 0, limit)
			var got []string
			for _, e := range log {
				got = append(got, e.Tenant+" "+e.Action)
			}
			want := []string{"a user.create", "a key.create", "a key.create", "a tenant.create"}
			if err != nil || !slices.Equal(got, want[:min(limit, len(want))]) {
				t.Errorf("sees %v: %v", got, err)
			}
		}
		// Those who may see all of it do.
		if log, err := d.Audit(ctx, root, 0, 100); err != nil || len(log) != 11 {
			t.Errorf("an operator sees %d entries: %v", len(log), err)
		}
	})
}

// TestRotations: each rotation of one key gives a key that is good for as long as was asked for, whatever became of the key
// before, and the audit log shows what did.
func TestRotations(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		d := b.open(t, c)
		long := 48 * time.Hour
		for name, one := range map[string]struct {
			asked  time.Duration
			wished *time.Duration
			want   time.Duration
		}{
			"for ever":   {0, nil, 0},
			"for a time": {90 * 24 * time.Hour, nil, 90 * 24 * time.Hour},
			"longer":     {time.Hour, &long, long},
			"no end":     {time.Hour, new(time.Duration), 0},
		} {
			k, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}, Lifetime: one.asked})
			end := c.Now().Add(10 * time.Minute)
			for range 3 {
				next, _, err := d.RotateKey(t.Context(), root, k.ID, Rotation{Overlap: 10 * time.Minute, Lifetime: one.wished})
				if err != nil {
					t.Fatal(err)
				}
				stored, err := d.Key(t.Context(), root, next.ID)
				if err != nil || !stored.Expires.Equal(next.Expires) || (one.want == 0) != next.Expires.IsZero() || one.want != 0 && next.Expires.Sub(c.Now()).Round(time.Second) != one.want {
					t.Errorf("%s: now %v, got %+v, %+v, %v", name, c.Now(), next, stored, err)
				}
				log, err := d.Audit(t.Context(), root, 0, 1)
				var after rotated
				if err != nil || json.Unmarshal(log[0].After, &after) != nil || after.New.ID != next.ID || after.Old.ID != k.ID || after.Old.Expires.Sub(end).Abs() > time.Second {
					t.Errorf("%s: the audit log has %+v: %v", name, log, err)
				}
				c.forward(time.Minute) // the old key does not live longer by it
			}
			c.forward(8 * time.Minute)
			if got := verdict(d, token); got != Expired {
				t.Errorf("%s: the old key is %s", name, got)
			}
		}
		if _, _, err := d.RotateKey(t.Context(), root, "nobody", Rotation{Lifetime: new(-time.Second)}); store.KindOf(err) != store.KindInvalid {
			t.Errorf("a key without a life: %v", err)
		}
	})
}

func TestSpecs(t *testing.T) {
	for want, s := range map[string]Spec{
		"tenant":      {Tenant: "", Scopes: []string{"read"}},
		"scopes":      {Tenant: "a"},
		"scopes:":     {Tenant: "a", Scopes: []string{"root"}},
		"tenants":     {Tenant: "a", Scopes: []string{"read"}, Tenants: []string{"a,b"}},
		"selector":    {Tenant: "a", Scopes: []string{"read"}, Selector: `{team=`},
		"selector:":   {Tenant: "a", Scopes: []string{"read", "admin"}, Selector: `{team="a"}`},
		"expires":     {Tenant: "a", Scopes: []string{"read"}, Lifetime: -1},
		"description": {Tenant: "a", Scopes: []string{"read"}, Description: strings.Repeat("x", maxDescription+1)},
	} {
		if err := s.check(); err == nil || !strings.HasPrefix(err.Error(), want) || store.KindOf(err) != store.KindInvalid {
			t.Errorf("%+v: got %v, want an error of %s", s, err, want)
		}
	}
}

// TestNoSecretOnDisk looks for a key in the bytes of the files, and at who may read them.
func TestNoSecretOnDisk(t *testing.T) {
	b := &backend{dir: t.TempDir()}
	d := b.open(t, newClock())
	_, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
	all := b.bytesOf(t)
	if !strings.Contains(all, token[len(tokenStart):prefixLen]) || strings.Contains(all, token[prefixLen+1:]) {
		t.Error("the key's secret is in the files, or its id is not")
	}
	info, err := os.Stat(filepath.Join(b.dir, "metadata.sqlite"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestNewerVersion refuses a database that a newer version has migrated, for good.
func TestNewerVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		if _, err := d.sql.ExecContext(t.Context(), "INSERT INTO migrations (id) VALUES (1000)"); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), b.config, Options{Dir: b.dir, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "newer") {
			t.Errorf("got %v", err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	token, id, h := newToken()
	d := &DB{}
	s := &Snapshot{keys: map[string]*Key{id: {ID: id, hash: h, used: d.usesOf(id, time.Time{})}}}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, v := s.Authenticate(token, now); v != Good {
			b.Fatal(v)
		}
	}
}

// TestHangs stops PostgreSQL without ending it: what is known goes on to be known, a change ends with an error, and all
// works when the server goes on.
func TestHangs(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	b := &backend{config: Config{DSN: p.DSN}, server: p}
	d := b.open(t, newClock())
	_, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
	p.Hang()
	begin := time.Now()
	_, err := d.CreateTenant(t.Context(), root, "a", "")
	t.Logf("a change ended after %v: %v", time.Since(begin).Round(time.Millisecond), err)
	if err == nil || store.KindOf(err) != store.KindUnavailable || verdict(d, token) != Good {
		t.Errorf("a change: %v, the key is %s", err, verdict(d, token))
	}
	p.Continue()
	within(t, "a change", func() bool {
		_, err := d.CreateTenant(t.Context(), root, "b", "")
		return err == nil || errors.Is(err, ErrExists)
	})
}

// TestStopsWhileHanging: a server that does not answer does not keep the process from stopping.
func TestStopsWhileHanging(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	b := &backend{config: Config{DSN: p.DSN}, server: p}
	_, stop := b.start(t, newClock())
	p.Hang()
	defer p.Continue()
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("it does not stop")
	}
}
