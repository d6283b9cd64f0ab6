// Package tenant names tenants: which tenant a request speaks for, which of its series it may read, and how both
// travel in a context. It leaves to its callers what a tenant may do.
package tenant

import (
	"context"
	"fmt"
	"net/http"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Header is the HTTP header that names the tenant, as in Cortex, Mimir and Loki.
const Header = "X-Scope-OrgID"

// maxLen is Mimir's limit, in bytes.
const maxLen = 150

// FromRequest returns the tenant of the request's context, where whoever let the request in has set one, else the
// one that the header names, [store.DefaultTenant] where it has none, and an error that can be shown to the client
// where the name is not allowed or stands for several tenants, see [FromReadRequest].
func FromRequest(r *http.Request) (string, error) {
	id, ok := r.Context().Value(contextKey{}).(string)
	if !ok {
		id = r.Header.Get(Header)
	}
	switch {
	case Several(id):
		return "", fmt.Errorf("header %s: %.100q names several tenants, and this is for one; send a request for each of them", Header, id)
	case ok:
		return id, nil
	case id == "":
		return store.DefaultTenant, nil
	}
	if err := Validate(id); err != nil {
		return "", fmt.Errorf("header %s: %w", Header, err)
	}
	return id, nil
}

// Validate checks a tenant's name: 1 to 150 letters, digits and any of !-_.*'() as in Mimir, and not ".", ".." or "*", which
// stands for every tenant.
func Validate(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("the tenant's name is empty")
	case len(id) > maxLen:
		return fmt.Errorf("the tenant's name has %d bytes, at most %d are allowed", len(id), maxLen)
	case id == "." || id == ".." || id == "*":
		return fmt.Errorf("the tenant's name %q is not allowed", id)
	}
	for i := range len(id) {
		if !allowed(id[i]) {
			return fmt.Errorf("the tenant's name has the character %q; letters, digits and any of !-_.*'() are allowed", id[i])
		}
	}
	return nil
}

func allowed(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '!', '-', '_', '.', '*', '\'', '(', ')':
		return true
	}
	return false
}

type contextKey struct{}

// NewContext returns a context that speaks for the tenant.
func NewContext(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the context's tenant, [store.DefaultTenant] where none was set.
func FromContext(ctx context.Context) string {
	if id, ok := ctx.Value(contextKey{}).(string); ok {
		return id
	}
	return store.DefaultTenant
}

type matchersKey struct{}

// WithMatchers returns a context whose reads see only series that all the matchers choose, beside what they ask for
// themselves. Package access enforces it.
func WithMatchers(ctx context.Context, ms []*labels.Matcher) context.Context {
	return context.WithValue(ctx, matchersKey{}, ms)
}

// MatchersFrom returns what [WithMatchers] set. Whoever remembers answers has to tell them apart by it too. They must
// not be changed.
func MatchersFrom(ctx context.Context) []*labels.Matcher {
	ms, _ := ctx.Value(matchersKey{}).([]*labels.Matcher)
	return ms
}
