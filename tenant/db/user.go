package db

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"golang.org/x/crypto/bcrypt"
)

// The roles that a user may have.
const (
	RoleViewer = "viewer"
	RoleEditor = "editor"
	RoleAdmin  = "admin"
)

// Roles are all of them, each of which may do what those before it may.
func Roles() []string { return []string{RoleViewer, RoleEditor, RoleAdmin} }

// scopesOf returns what a role may do, in the terms of keys.
func scopesOf(role string) []string {
	switch role {
	case RoleViewer:
		return []string{ScopeRead}
	case RoleEditor:
		return []string{ScopeRead, ScopeWrite, ScopeRules}
	case RoleAdmin:
		return Scopes()
	}
	return nil
}

// User is a person with a password.
type User struct {
	Name   string `json:"name"`
	Tenant string `json:"tenant"`

	// Tenants are others that X-Scope-OrgID may choose, or [AllTenants].
	Tenants     []string  `json:"tenants"`
	Role        string    `json:"role"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`

	// Disabled is since when the user is not let in; zero is that he is.
	Disabled time.Time `json:"disabled,omitzero"`

	hash string // of the password, by bcrypt
	key  *Key
}

// Key is a key that may do what the user may. It has no id and no secret.
func (u *User) Key() *Key { return u.key }

// Hash is the bcrypt hash of the password: another one after each change of it.
func (u *User) Hash() string { return u.hash }

// as returns the key of [User.Key].
func (u *User) as() *Key {
	return &Key{Prefix: "user " + u.Name, Tenant: u.Tenant, Tenants: u.Tenants, Scopes: scopesOf(u.Role), person: true}
}

const (
	maxUserName = 100

	// A password has at most as many bytes as bcrypt looks at.
	minPassword = 10
	maxPassword = 72

	// passwordCost is the cost of a password's hash for bcrypt: some 50 ms.
	passwordCost = 10
)

func (u *User) check() error {
	if err := checkUserName(u.Name); err != nil {
		return err
	}
	if err := tenant.Validate(u.Tenant); err != nil {
		return store.Invalidf("tenant: %w", err)
	}
	if err := checkTenants(u.Tenants); err != nil {
		return err
	}
	if !slices.Contains(Roles(), u.Role) {
		return store.Invalidf("role: there is no %q; it is one of %s", u.Role, strings.Join(Roles(), ", "))
	}
	return checkDescription(u.Description)
}

// checkUserName keeps out what basic authentication, paths and logs cannot carry.
func checkUserName(s string) error {
	if s == "" || len(s) > maxUserName || s == "." || s == ".." {
		return store.Invalidf("name: %q is empty, longer than %d bytes, or dots", s, maxUserName)
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("-_.@+", c):
		default:
			return store.Invalidf("name: has the character %q; letters, digits and any of -_.@+ are allowed", c)
		}
	}
	return nil
}

// hashPassword takes its time.
func (d *DB) hashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", store.Invalidf("password: has %d bytes, %d to %d are allowed", len(password), minPassword, maxPassword)
	}
	if _, ok := TokenID(password); ok {
		return "", store.Invalidf("password: has the form of an API key")
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), d.passwordCost)
	if err != nil {
		return "", fmt.Errorf("cannot hash the password: %w", err)
	}
	return string(h), nil
}

const userColumns = "name, password, tenant, tenants, role, description, created_ms, disabled_ms"

func scanUser(r row) (*User, error) {
	u := &User{}
	var tenants string
	var created, disabled int64
	if err := r.Scan(&u.Name, &u.hash, &u.Tenant, &tenants, &u.Role, &u.Description, &created, &disabled); err != nil {
		return nil, err
	}
	u.Tenants, u.Created, u.Disabled = split(tenants), timeOf(created), timeOf(disabled)
	u.key = u.as()
	return u, nil
}
