package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/metricstream/metricstream/store"
)

const maxUsers = 100_000

// User returns the user of a name, nil where there is none.
func (s *Snapshot) User(name string) *User { return s.users[name] }

// SomeHash is the hash of some user's password, empty where there are no users: who judges a user that is not there takes as
// long with it as for one who is.
func (s *Snapshot) SomeHash() string { return s.someHash }

// Users returns the users that the actor may see, sorted by name.
func (d *DB) Users(ctx context.Context, by Actor) ([]*User, error) {
	all, err := query(ctx, d.sql, scanUser, "SELECT "+userColumns+" FROM users ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("cannot read the users: %w", err)
	}
	return slices.DeleteFunc(all, func(u *User) bool { return !by.mayManage(u.key) }), nil
}

// User returns one user, or [ErrNotFound].
func (d *DB) User(ctx context.Context, by Actor, name string) (*User, error) {
	return userByName(ctx, d.sql, by, name)
}

func userByName(ctx context.Context, q queryer, by Actor, name string) (*User, error) {
	u, err := scanUser(q.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE name = $1", name))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("cannot read the user: %w", err)
	case !by.mayManage(u.key):
		return nil, ErrNotFound
	}
	return u, nil
}

// CreateUser adds a user, of whom Created and Disabled are not looked at.
func (d *DB) CreateUser(ctx context.Context, by Actor, u User, password string) (*User, error) {
	if err := u.check(); err != nil {
		return nil, err
	}
	if !by.Covers(u.Tenant) || !by.Covers(u.Tenants...) {
		return nil, ErrForbidden
	}
	var err error
	if u.hash, err = d.hashPassword(password); err != nil {
		return nil, err
	}
	u.Created, u.Disabled = d.now().UTC().Truncate(time.Millisecond), time.Time{}
	u.Tenants = split(join(u.Tenants)) // never nil
	err = d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		return Entry{Action: "user.create", Tenant: u.Tenant, Object: u.Name, After: encode(u)}, insertUser(ctx, tx, &u)
	})
	return &u, err
}

func insertUser(ctx context.Context, tx *sql.Tx, u *User) error {
	if err := checkTenantExists(ctx, tx, u.Tenant); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM users WHERE name = $1", u.Name).Scan(&n); err != nil {
		return fmt.Errorf("cannot read the user: %w", err)
	}
	if n > 0 {
		return fmt.Errorf("the user %q: %w", u.Name, ErrExists)
	}
	if err := checkCount(ctx, tx, "users", maxUsers); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO users ("+userColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
		u.Name, u.hash, u.Tenant, join(u.Tenants), u.Role, u.Description, msOf(u.Created)); err != nil {
		return fmt.Errorf("cannot add the user: %w", err)
	}
	return nil
}

// UpdateUser changes a user's tenants, role and description, and whether he is disabled; and his password, where that is
// not empty. Every process knows of it within 5 s.
func (d *DB) UpdateUser(ctx context.Context, by Actor, name, password string, change func(*User)) (*User, error) {
	hash := ""
	if password != "" {
		var err error
		if hash, err = d.hashPassword(password); err != nil {
			return nil, err
		}
	}
	var u User
	err := d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := userByName(ctx, tx, by, name)
		if err != nil {
			return Entry{}, err
		}
		u = *before
		change(&u)
		action := "user.update"
		if hash != "" {
			u.hash, action = hash, "user.password"
		}
		if err := u.check(); err != nil {
			return Entry{}, err
		}
		if !by.Covers(u.Tenant) || !by.Covers(u.Tenants...) {
			return Entry{}, ErrForbidden
		}
		if err := checkTenantExists(ctx, tx, u.Tenant); err != nil {
			return Entry{}, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE users SET password = $1, tenant = $2, tenants = $3, role = $4, description = $5, disabled_ms = $6 WHERE name = $7",
			u.hash, u.Tenant, join(u.Tenants), u.Role, u.Description, msOf(u.Disabled), name)
		return Entry{Action: action, Tenant: u.Tenant, Object: name, Before: encode(before), After: encode(u)}, err
	})
	return &u, err
}

// DeleteUser removes a user. No process lets him in any more within 5 s.
func (d *DB) DeleteUser(ctx context.Context, by Actor, name string) error {
	return d.change(ctx, by, func(ctx context.Context, tx *sql.Tx) (Entry, error) {
		before, err := userByName(ctx, tx, by, name)
		if err != nil {
			return Entry{}, err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM users WHERE name = $1", name)
		return Entry{Action: "user.delete", Tenant: before.Tenant, Object: name, Before: encode(before)}, err
	})
}

func checkTenantExists(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tenantByID(ctx, tx, id)
	if errors.Is(err, ErrNotFound) {
		return store.Invalidf("tenant: there is no tenant %q; create it first", id)
	}
	return err
}
