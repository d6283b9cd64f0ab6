package auth

import (
	"net/http"

	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/db"
)

// Need is what a key must be good for so that an endpoint answers it.
type Need int

const (
	// Operator is the scope admin in all tenants. It is the zero value, so that what nobody has thought of is refused to
	// everybody else.
	Operator Need = iota
	// Open needs no key.
	Open
	// Write is the scope write.
	Write
	// Read is the scope read. What is answered goes through package access, so a key with a selector sees its part.
	Read
	// ReadAll is the scope read without a selector: for what cannot be narrowed to a part.
	ReadAll
	// Monitor is the scope read, without a selector, in all tenants: for what is told of the process.
	Monitor
	// Admin is the scope admin, of whichever tenants.
	Admin
)

// String returns the need in the words of the API.
func (n Need) String() string {
	return [...]string{"operator", "open", "write", "read", "read_all", "monitor", "admin"}[n]
}

// refusal says why a key is not good for it, empty where it is.
func (n Need) refusal(k *db.Key) string {
	switch n {
	case Write:
		return missing(k, db.ScopeWrite)
	case Read:
		return missing(k, db.ScopeRead)
	case ReadAll:
		return whole(k)
	case Monitor:
		if !k.Everywhere() {
			return "only a key for all tenants (\"*\") may read what concerns the whole process"
		}
		return whole(k)
	case Admin:
		return missing(k, db.ScopeAdmin)
	default:
		if !k.Everywhere() || !k.Has(db.ScopeAdmin) {
			return "there is no such endpoint, or it is for keys with the scope \"admin\" in all tenants (\"*\")"
		}
		return ""
	}
}

func missing(k *db.Key, scope string) string {
	if !k.Has(scope) {
		return noun(k) + " has not the scope \"" + scope + "\""
	}
	return ""
}

func whole(k *db.Key) string {
	if k.Selector != "" {
		return noun(k) + " reads only series of its selector, and this cannot be narrowed to them"
	}
	return missing(k, db.ScopeRead)
}

func noun(k *db.Key) string {
	if k.Person() {
		return "the user"
	}
	return "the key"
}

// tenantOf returns the tenant that a request names, or the name of several where they can be read together.
func (n Need) tenantOf(r *http.Request) (string, error) {
	if n == Read {
		return tenant.FromReadRequest(r)
	}
	return tenant.FromRequest(r)
}

// administers tells the needs of a key's holder from those of a tenant's data.
func (n Need) administers() bool { return n == Operator || n == Monitor || n == Admin }
