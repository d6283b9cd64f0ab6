package db

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The scopes that a key may have.
const (
	ScopeWrite = "write"
	ScopeRead  = "read"
	ScopeRules = "rules"
	ScopeAdmin = "admin"
)

// Scopes are all of them.
func Scopes() []string { return []string{ScopeWrite, ScopeRead, ScopeRules, ScopeAdmin} }

// Key is one API key without its secret.
type Key struct {
	ID string `json:"id"`

	// Prefix is what the key begins with.
	Prefix      string   `json:"prefix"`
	Tenant      string   `json:"tenant"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"`

	// Tenants are others that X-Scope-OrgID may choose, or [AllTenants].
	Tenants []string `json:"tenants"`

	// Selector, where not empty, is a PromQL selector such as {team="a"}: the key reads only series that it chooses.
	Selector string `json:"selector"`

	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`

	// Limits are what the key's use alone is held to, beside what holds for the tenant.
	Limits limits.Overrides `json:"limits,omitempty"`

	hash     hash
	lifetime time.Duration // that was asked for; zero for ever
	held     limits.Limits
	person   bool // it stands for a user
	matchers []*labels.Matcher
	used     *atomic.Int64
}

// Person tells whether it is a user's, see [User.Key].
func (k *Key) Person() bool { return k.person }

// Has tells whether the key has a scope.
func (k *Key) Has(scope string) bool { return slices.Contains(k.Scopes, scope) }

// Covers tells whether the key may speak for a tenant.
func (k *Key) Covers(id string) bool {
	return id == k.Tenant || slices.Contains(k.Tenants, id) || k.Everywhere()
}

// Everywhere tells whether the key may speak for all tenants.
func (k *Key) Everywhere() bool { return slices.Contains(k.Tenants, AllTenants) }

// Held returns the key's own limits, where it has any.
func (k *Key) Held() (l limits.Limits, any bool) { return k.held, k.Limits != "" }

// Matchers are those of the selector. They must not be changed.
func (k *Key) Matchers() []*labels.Matcher { return k.matchers }

// Actor is the key as one who changes things.
func (k *Key) Actor() Actor {
	name := "key " + k.Prefix
	if k.person {
		name = k.Prefix
	}
	return Actor{Name: name, Tenants: append([]string{k.Tenant}, k.Tenants...)}
}

// Spec is what is wished of a new key.
type Spec struct {
	Tenant      string
	Description string
	Scopes      []string
	Tenants     []string
	Selector    string
	Lifetime    time.Duration // zero for ever
}

const (
	maxSelector = 2000
	maxListed   = 100
)

// check refuses what no key can be, with the names of the fields in the HTTP API.
func (s *Spec) check() error {
	if err := tenant.Validate(s.Tenant); err != nil {
		return store.Invalidf("tenant: %w", err)
	}
	if err := checkDescription(s.Description); err != nil {
		return err
	}
	if len(s.Scopes) == 0 {
		return store.Invalidf("scopes: are empty; name some of %s", strings.Join(Scopes(), ", "))
	}
	for _, scope := range s.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return store.Invalidf("scopes: there is no %q; name some of %s", scope, strings.Join(Scopes(), ", "))
		}
	}
	if err := checkTenants(s.Tenants); err != nil {
		return err
	}
	if s.Lifetime < 0 {
		return store.Invalidf("expires_in: %v is negative", s.Lifetime)
	}
	return s.checkSelector()
}

func checkTenants(all []string) error {
	if len(all) > maxListed {
		return store.Invalidf("tenants: has %d entries, at most %d are allowed; \"*\" is every tenant", len(all), maxListed)
	}
	for _, id := range all {
		if id == AllTenants {
			continue
		}
		if err := tenant.Validate(id); err != nil {
			return store.Invalidf("tenants: %w", err)
		}
	}
	return nil
}

func (s *Spec) checkSelector() error {
	if s.Selector == "" {
		return nil
	}
	if _, err := parseSelector(s.Selector); err != nil {
		return store.Invalidf("selector: %w", err)
	}
	if slices.Contains(s.Scopes, ScopeAdmin) {
		return store.Invalidf("selector: a key with the scope admin can make itself one without a selector; leave one of the two out")
	}
	return nil
}

func parseSelector(s string) ([]*labels.Matcher, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxSelector {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(s), maxSelector)
	}
	return parser.NewParser(parser.Options{}).ParseMetricSelector(s)
}

const keyColumns = "id, hash, tenant, description, scopes, tenants, selector, created_ms, expires_ms, revoked_ms, last_used_ms, limits, lifetime_ms"

func scanKey(r row) (*Key, error) {
	k := &Key{}
	var h, scopes, tenants string
	var created, expires, revoked, used, lifetime int64
	if err := r.Scan(&k.ID, &h, &k.Tenant, &k.Description, &scopes, &tenants, &k.Selector, &created, &expires, &revoked, &used, &k.Limits, &lifetime); err != nil {
		return nil, err
	}
	if n, err := hex.Decode(k.hash[:], []byte(h)); err != nil || n != len(k.hash) {
		return nil, fmt.Errorf("the hash of the key %s is damaged", k.ID)
	}
	k.Prefix = tokenStart + k.ID
	k.Scopes, k.Tenants = split(scopes), split(tenants)
	k.Created, k.Expires, k.Revoked, k.LastUsed = timeOf(created), timeOf(expires), timeOf(revoked), timeOf(used)
	k.lifetime = time.Duration(lifetime) * time.Millisecond
	return k, nil
}

// split takes a list apart that join put together; names of tenants and scopes have no commas.
func split(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

func join(l []string) string { return strings.Join(l, ",") }
