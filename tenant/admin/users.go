package admin

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

func (a *API) userEndpoints() []Endpoint {
	return []Endpoint{
		a.endpoint("GET /api/v1/admin/users", auth.Admin, a.users),
		a.endpoint("POST /api/v1/admin/users", auth.Admin, a.createUser),
		a.endpoint("GET /api/v1/admin/users/{id}", auth.Admin, a.user),
		a.endpoint("PATCH /api/v1/admin/users/{id}", auth.Admin, a.updateUser),
		a.endpoint("DELETE /api/v1/admin/users/{id}", auth.Admin, a.deleteUser),
	}
}

func (a *API) users(r *http.Request) (any, error) { return a.db.Users(r.Context(), actor(r)) }

func (a *API) user(r *http.Request) (any, error) {
	return a.db.User(r.Context(), actor(r), r.PathValue("id"))
}

// newUser is the body of a request for a user.
type newUser struct {
	Name        string   `json:"name"`
	Password    string   `json:"password"`
	Tenant      string   `json:"tenant"`
	Tenants     []string `json:"tenants"`
	Role        string   `json:"role"`
	Description string   `json:"description"`
}

// madeUser is the answer to a change that may have made a password: the only one that has it.
type madeUser struct {
	*db.User
	Password string `json:"password,omitempty"`
}

func (a *API) createUser(r *http.Request) (any, error) {
	var n newUser
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	by := actor(r)
	if n.Tenant == "" {
		n.Tenant = by.Home()
	}
	password, made := orMade(n.Password)
	u, err := a.db.CreateUser(r.Context(), by, db.User{Name: n.Name, Tenant: n.Tenant, Tenants: n.Tenants, Role: n.Role, Description: n.Description}, password)
	return madeUser{u, made}, err
}

// orMade returns a password, and beside it the same again where it had to be made.
func orMade(wanted string) (password, made string) {
	if wanted == "" {
		made = rand.Text()
		return made, made
	}
	return wanted, ""
}

// userChange is the body of a request to change one. What is left out stays; an empty password is replaced by a made one.
type userChange struct {
	Password    *string   `json:"password"`
	Tenants     *[]string `json:"tenants"`
	Role        *string   `json:"role"`
	Description *string   `json:"description"`
	Disabled    *bool     `json:"disabled"`
}

func (a *API) updateUser(r *http.Request) (any, error) {
	var c userChange
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	var password, made string
	if c.Password != nil {
		password, made = orMade(*c.Password)
	}
	u, err := a.db.UpdateUser(r.Context(), actor(r), r.PathValue("id"), password, c.apply)
	return madeUser{u, made}, err
}

func (c *userChange) apply(u *db.User) {
	if c.Tenants != nil {
		u.Tenants = append([]string{}, *c.Tenants...)
	}
	if c.Role != nil {
		u.Role = *c.Role
	}
	if c.Description != nil {
		u.Description = *c.Description
	}
	u.Disabled = since(c.Disabled, u.Disabled)
}

// since returns from when on something is disabled that has been from a time on, zero for not.
func since(disabled *bool, before time.Time) time.Time {
	switch {
	case disabled == nil:
		return before
	case !*disabled:
		return time.Time{}
	case before.IsZero():
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return before
}

func (a *API) deleteUser(r *http.Request) (any, error) {
	u, err := a.db.User(r.Context(), actor(r), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return u, a.db.DeleteUser(r.Context(), actor(r), u.Name)
}
