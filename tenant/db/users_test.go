package db

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
)

const password = "correct horse battery"

// TestUsers goes through the life of a user, whom another process sees change.
func TestUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		c := newClock()
		here, there := b.open(t, c), b.open(t, c)
		ctx := t.Context()
		if _, err := here.CreateTenant(ctx, root, "a", ""); err != nil {
			t.Fatal(err)
		}
		u, err := here.CreateUser(ctx, root, User{Name: "ed@example.org", Tenant: "a", Role: RoleEditor, Description: "Ed"}, password)
		if err != nil || u.Tenants == nil || !u.Created.Equal(c.Now().UTC().Truncate(time.Millisecond)) {
			t.Fatalf("%+v, %v", u, err)
		}
		within(t, "the user there", func() bool {
			u := there.Snapshot().User("ed@example.org")
			return u != nil && u.Key().Has(ScopeWrite) && !u.Key().Has(ScopeAdmin) && u.Key().Covers("a") && u.Key().Actor().Name == "user ed@example.org"
		})
		if _, err := here.CreateUser(ctx, root, User{Name: "ed@example.org", Tenant: "a", Role: RoleViewer}, password); !errors.Is(err, ErrExists) {
			t.Errorf("a second one: %v", err)
		}
		hash := here.Snapshot().User("ed@example.org").Hash()
		u, err = there.UpdateUser(ctx, root, "ed@example.org", "another password", func(u *User) { u.Role, u.Disabled = RoleViewer, c.Now() })
		if err != nil || u.Role != RoleViewer {
			t.Errorf("%+v, %v", u, err)
		}
		within(t, "the change here", func() bool {
			u := here.Snapshot().User("ed@example.org")
			return u.Hash() != hash && u.Role == RoleViewer && !u.Disabled.IsZero() && !u.Key().Has(ScopeWrite) && u.Description == "Ed"
		})
		if err := here.DeleteUser(ctx, root, "ed@example.org"); err != nil {
			t.Fatal(err)
		}
		within(t, "the end there", func() bool {
			return there.Snapshot().User("ed@example.org") == nil && there.Snapshot().SomeHash() == ""
		})
		if err := here.DeleteUser(ctx, root, "ed@example.org"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted again: %v", err)
		}
		log, err := here.Audit(ctx, root, 0, 10)
		if err != nil || len(log) != 4 {
			t.Fatalf("%d entries, %v", len(log), err)
		}
		text := string(encode(log))
		for _, want := range []string{"user.create", "user.password", "user.delete", `"role":"editor"`, `"role":"viewer"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the audit log has no %s", want)
			}
		}
		for _, s := range []string{password, "another password", hash, "$2a$"} {
			if strings.Contains(text, s) {
				t.Errorf("%s is in the audit log", s)
			}
		}
	})
}

// TestTenantAdminsAndUsers: an admin manages the users of its tenants, and none that can do more.
func TestTenantAdminsAndUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		d := b.open(t, newClock())
		ctx := t.Context()
		for _, id := range []string{"a", "b"} {
			if _, err := d.CreateTenant(ctx, root, id, ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, u := range []User{{Name: "wide", Tenant: "a", Tenants: []string{"b"}, Role: RoleViewer}, {Name: "op", Tenant: "a", Tenants: []string{AllTenants}, Role: RoleAdmin}, {Name: "other", Tenant: "b", Role: RoleViewer}, {Name: "own", Tenant: "a", Role: RoleViewer}} {
			if _, err := d.CreateUser(ctx, root, u, password); err != nil {
				t.Fatal(err)
			}
		}
		by := Actor{Name: "admin of a", Tenants: []string{"a"}}
		for _, name := range []string{"wide", "op", "other", "nobody"} {
			_, read := d.User(ctx, by, name)
			_, changed := d.UpdateUser(ctx, by, name, "", func(*User) {})
			for _, err := range []error{read, changed, d.DeleteUser(ctx, by, name)} {
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if all, err := d.Users(ctx, by); err != nil || len(all) != 1 || all[0].Name != "own" {
			t.Errorf("sees %d users: %v", len(all), err)
		}
		for _, u := range []User{{Name: "x", Tenant: "b", Role: RoleViewer}, {Name: "x", Tenant: "a", Tenants: []string{"b"}, Role: RoleViewer}, {Name: "x", Tenant: "a", Tenants: []string{AllTenants}, Role: RoleAdmin}} {
			if _, err := d.CreateUser(ctx, by, u, password); !errors.Is(err, ErrForbidden) {
				t.Errorf("creates %+v: %v", u, err)
			}
			if _, err := d.UpdateUser(ctx, by, "own", "", func(own *User) { own.Tenant, own.Tenants = u.Tenant, u.Tenants }); !errors.Is(err, ErrForbidden) {
				t.Errorf("changes to %+v: %v", u, err)
			}
		}
		if _, err := d.UpdateUser(ctx, by, "own", "", func(u *User) { u.Role = RoleAdmin }); err != nil {
			t.Error(err)
		}
	})
}

func TestBadUsers(t *testing.T) {
	b := &backend{dir: t.TempDir()}
	d := b.open(t, newClock())
	good := User{Name: "ed", Tenant: store.DefaultTenant, Role: RoleViewer}
	_, token := mustKey(t, d, Spec{Tenant: store.DefaultTenant, Scopes: []string{"read"}})
	for want, c := range map[string]struct {
		change   func(*User)
		password string
	}{
		"name: ":             {func(u *User) { u.Name = "" }, password},
		"name: has":          {func(u *User) { u.Name = "a:b" }, password},
		"name: \"..\"":       {func(u *User) { u.Name = ".." }, password},
		"tenant: there":      {func(u *User) { u.Tenant = "nobody" }, password},
		"tenant: the":        {func(u *User) { u.Tenant = "a/b" }, password},
		"tenants: ":          {func(u *User) { u.Tenants = []string{"a|b"} }, password},
		"role: ":             {func(u *User) { u.Role = "root" }, password},
		"password: has 9":    {func(*User) {}, "123456789"},
		"password: has 73":   {func(*User) {}, strings.Repeat("x", 73)},
		"password: has the ": {func(*User) {}, token},
		"description: ":      {func(u *User) { u.Description = strings.Repeat("x", 2000) }, password},
	} {
		u := good
		c.change(&u)
		if _, err := d.CreateUser(t.Context(), root, u, c.password); err == nil || !strings.HasPrefix(err.Error(), want) || store.KindOf(err) != store.KindInvalid {
			t.Errorf("got %v, want an error of %s", err, want)
		}
	}
}
