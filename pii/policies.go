package pii

import (
	"fmt"
	"log/slog"
	"sync"
)

// Policies know the policy of every tenant. They may be used from several goroutines at once.
type Policies struct {
	defaults  Settings
	compiled  *rules // of the defaults
	secret    []byte
	overrides func(tenant string) Overrides
	logger    *slog.Logger

	mu    sync.RWMutex
	known map[Overrides]*rules
}

// PolicyOptions are what [Policies] need.
type PolicyOptions struct {
	// Defaults are for tenants without overrides, and what overrides are put over. They have to be valid.
	Defaults Settings

	// Secret is what the keys of hashes are made of. It may be empty where nothing is hashed.
	Secret []byte

	// Overrides returns what a tenant has; nil is that none has any. It is asked for each request, so it must not wait.
	Overrides func(tenant string) Overrides

	Logger *slog.Logger
}

// NewPolicies returns the policies of all tenants.
func NewPolicies(o PolicyOptions) (*Policies, error) {
	p := &Policies{defaults: o.Defaults, secret: o.Secret, overrides: o.Overrides, logger: o.Logger, known: map[Overrides]*rules{}}
	var err error
	if p.compiled, err = compile(o.Defaults); err != nil {
		return nil, err
	}
	if len(p.secret) == 0 && hashes(p.compiled) {
		return nil, fmt.Errorf("pii: an action is hash, and there is no secret for it: set pii.hash_secret, or metadata.dsn")
	}
	return p, nil
}

func hashes(r *rules) bool {
	if r == nil {
		return false
	}
	for _, d := range r.detectors {
		if d.action == Hash {
			return true
		}
	}
	return false
}

// maxKnown bounds the overrides that are kept ready; tenants with the same ones share them.
const maxKnown = 10_000

// Of returns a tenant's policy as it is in force.
func (p *Policies) Of(tenant string) Policy {
	policy := Policy{rules: p.compiled, secret: p.secret, tenant: tenant}
	if p.overrides == nil {
		return policy
	}
	o := p.overrides(tenant)
	if o == "" {
		return policy
	}
	p.mu.RLock()
	r, ok := p.known[o]
	p.mu.RUnlock()
	if !ok {
		r = p.learn(tenant, o)
	}
	policy.rules = r
	return policy
}

// learn makes overrides ready. Such as cannot be read, which a newer version may have written, leave the defaults in force.
func (p *Policies) learn(tenant string, o Overrides) *rules {
	s, err := o.Over(p.defaults)
	var r *rules
	if err == nil {
		r, err = compile(s)
	}
	if err != nil {
		p.logger.Error("the personal data of a tenant is treated as that of others, because its settings cannot be read", "tenant", tenant, "err", err)
		r = p.compiled
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	p.known[o] = r
	return r
}

// Discover returns a policy that reports whatever the built-in detectors and the patterns of the settings find, and leaves out
// what they exempt.
func Discover(s Settings) (Policy, error) {
	all := Settings{Detectors: map[string]Action{}, Exempt: s.Exempt}
	for _, name := range Names() {
		all.Detectors[name] = Report
	}
	for _, pattern := range s.Patterns {
		pattern.Action = Report
		all.Patterns = append(all.Patterns, pattern)
	}
	r, err := compile(all)
	return Policy{rules: r}, err
}
