// Package auth lets requests in: it finds the API key or the user of a request, judges whether it is good for the endpoint
// and the tenant, and tells what is behind it, by the context, whose request it is. It looks only at memory. It leaves
// keys and users to package db, and to whoever registers an endpoint what the endpoint needs.
package auth

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/client_golang/prometheus"
)

// Keys is where keys and tenants come from, see [db.DB].
type Keys interface{ Snapshot() *db.Snapshot }

// Options are what a [Guard] works with besides its configuration.
type Options struct {
	// Now is the clock, time.Now when nil.
	Now        func() time.Time
	Registerer prometheus.Registerer

	// CORS, where not nil, sets the headers of refusals that let scripts in browsers read them.
	CORS func(http.ResponseWriter, *http.Request)
}

// Guard stands before the endpoints of a process. Its methods may be called from several goroutines at once.
type Guard struct {
	enabled bool
	now     func() time.Time
	keys    atomic.Pointer[Keys]
	slow    *limiter
	people  *passwords
	cors    func(http.ResponseWriter, *http.Request)
	metrics *metrics
}

// New returns a guard that, where it is enabled, lets in only what is open, until Open gives it the keys; where it is not,
// it refuses only tenants that are disabled.
func New(c Config, o Options) *Guard {
	g := &Guard{enabled: c.Enabled, now: o.Now, cors: o.CORS}
	if g.now == nil {
		g.now = time.Now
	}
	g.slow, g.people = newLimiter(), newPasswords()
	g.metrics = newMetrics(o.Registerer)
	return g
}

// Open says where the keys are.
func (g *Guard) Open(keys Keys) { g.keys.Store(&keys) }

// Protect returns a handler that calls h for requests that may.
func (g *Guard) Protect(need Need, h http.Handler) http.Handler {
	return g.ProtectEach(func(*http.Request) Need { return need }, h)
}

// ProtectEach is Protect for a handler that has several endpoints.
func (g *Guard) ProtectEach(need func(*http.Request) Need, h http.Handler) http.Handler {
	judge := g.judge
	if !g.enabled {
		judge = g.judgeTenant
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := need(r)
		if n == Open {
			h.ServeHTTP(w, r)
			return
		}
		r, refused := judge(r, n)
		if refused != nil {
			if g.cors != nil {
				g.cors(w, r)
			}
			refused.send(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// judge returns the request as it goes on, or why it does not.
func (g *Guard) judge(r *http.Request, n Need) (*http.Request, *refusal) {
	keys := g.keys.Load()
	if keys == nil {
		return r, unavailable("starting; the API keys are not there yet")
	}
	c := credentialsOf(r)
	if c.secret == "" {
		g.metrics.count("missing")
		return r, unauthorized("an API key is needed, as `Authorization: Bearer KEY`, as the password of basic authentication, or as `X-API-Key: KEY`; or a user's name and password, by basic authentication")
	}
	s := (*keys).Snapshot()
	k, refused := g.identify(r, s, c)
	if refused != nil {
		return r, refused
	}
	if why := n.refusal(k); why != "" {
		g.metrics.count("scope")
		return r, forbidden(why)
	}
	id, refused := tenantOf(r, s, k, n)
	if refused != nil {
		g.metrics.count("tenant")
		return r, refused
	}
	g.metrics.count(string(db.Good))
	ctx := context.WithValue(tenant.NewContext(r.Context(), id), contextKey{}, k)
	if ms := k.Matchers(); len(ms) > 0 {
		ctx = tenant.WithMatchers(ctx, ms)
	}
	return r.WithContext(ctx), nil
}

// judgeTenant is judge for who is not asked for a key. Of tenants that nobody has made everything may be read and written.
func (g *Guard) judgeTenant(r *http.Request, n Need) (*http.Request, *refusal) {
	keys := g.keys.Load()
	if keys == nil || n.administers() {
		return r, nil
	}
	id, err := n.tenantOf(r)
	if err != nil {
		return r, nil // whoever answers says so
	}
	s := (*keys).Snapshot()
	for _, one := range tenant.Split(id) {
		if s.Disabled(one) {
			g.metrics.count("tenant")
			return r, forbidden("the tenant \"" + one + "\" is disabled")
		}
	}
	return r, nil
}

// identify returns the key of a request, or that of its user.
func (g *Guard) identify(r *http.Request, s *db.Snapshot, c credentials) (*db.Key, *refusal) {
	now, who := g.now(), address(r.RemoteAddr)
	var k *db.Key
	var verdict db.Verdict
	person := c.person(s)
	if person {
		// Also of users who are not there, or who is there could be told from what is slowed down.
		who += " user " + c.user[:min(len(c.user), maxGuessedName)] // longer ones are nobody's
	} else if k, verdict = s.Authenticate(c.secret, now); verdict == db.Good {
		return k, nil // whoever guesses: 192 bits are safe, and all clients behind a proxy have one address
	} else if verdict != db.Unknown {
		id, _ := db.TokenID(c.secret)
		who += " " + id
	}
	if wait := g.slow.wait(who, now); wait > 0 {
		g.metrics.count("slowed")
		return nil, tooMany(wait)
	}
	if person {
		var err error
		if k, verdict, err = g.checkPassword(r.Context(), s, c, now); err != nil {
			g.metrics.count("slowed")
			return nil, unavailable("too many passwords are to be checked")
		}
	}
	if verdict != db.Good {
		g.slow.failed(who, now)
		g.metrics.count(string(verdict))
		return nil, unauthorized("the API key, or the user with this password, is not known, has expired or was revoked")
	}
	return k, nil
}

// maxGuessedName bounds what is remembered of the name that a guess was for.
const maxGuessedName = 128

// passwordTimeout bounds how long a request waits until its password is checked.
const passwordTimeout = 5 * time.Second

// checkPassword judges the password of a user.
func (g *Guard) checkPassword(ctx context.Context, s *db.Snapshot, c credentials, now time.Time) (*db.Key, db.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, passwordTimeout)
	defer cancel()
	u := s.User(c.user)
	if u == nil {
		return nil, db.Unknown, g.people.wrong(ctx, s.SomeHash(), c.secret)
	}
	good, err := g.people.good(ctx, u.Hash(), c.secret, now)
	switch {
	case err != nil:
		return nil, "", err
	case !good:
		return nil, db.Wrong, nil
	case !u.Disabled.IsZero():
		return nil, db.Revoked, nil
	}
	return u.Key(), db.Good, nil
}

// tenantOf returns the tenant that a request is for, or the name of several, see [tenant.FromReadRequest].
func tenantOf(r *http.Request, s *db.Snapshot, k *db.Key, n Need) (string, *refusal) {
	id := k.Tenant
	if r.Header.Get(tenant.Header) != "" {
		var err error
		if id, err = n.tenantOf(r); err != nil {
			return "", badRequest(err.Error())
		}
	}
	for _, one := range tenant.Split(id) {
		// One text for all reasons, so that nobody learns which tenants there are.
		if !k.Covers(one) || !s.Active(one) && !(k.Everywhere() && n.administers()) {
			return "", forbidden(noun(k) + " may not speak for the tenant \"" + one + "\", or there is no such tenant")
		}
	}
	return id, nil
}

type contextKey struct{}

// KeyFrom returns the key that a request came with, or that of its user, see [db.User.Key]; nil where none was needed.
func KeyFrom(ctx context.Context) *db.Key {
	k, _ := ctx.Value(contextKey{}).(*db.Key)
	return k
}

// ActorFrom returns who sent a request, as one who changes things: one who may do nothing where nobody was let in.
func ActorFrom(ctx context.Context) db.Actor {
	if k := KeyFrom(ctx); k != nil {
		return k.Actor()
	}
	by, _ := ctx.Value(actorKey{}).(db.Actor)
	return by
}

type actorKey struct{}

// Unguarded returns a handler for processes without auth.enabled: everyone is an operator there.
func Unguarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by := db.Actor{Name: "someone at " + address(r.RemoteAddr), Tenants: []string{db.AllTenants}}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, by)))
	})
}

// Closed returns a handler that refuses everybody and says why.
func Closed(why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { forbidden(why).send(w) })
}

// credentials are what a request gives for itself: a key, or a user's name with a password.
type credentials struct{ user, secret string }

func credentialsOf(r *http.Request) credentials {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return credentials{secret: key}
	}
	if name, password, ok := r.BasicAuth(); ok {
		return credentials{name, password}
	}
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return credentials{secret: strings.TrimSpace(key)}
	}
	return credentials{}
}

// person tells whether they are a user's: any name goes with a key as the password. Where nobody is a user, nothing has
// to be kept secret of who is.
func (c credentials) person(s *db.Snapshot) bool {
	if c.user == "" || s.SomeHash() == "" {
		return false
	}
	_, isKey := db.TokenID(c.secret)
	return !isKey
}

// address returns the address that a request comes from; of IPv6 the part that one customer has for himself.
func address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
