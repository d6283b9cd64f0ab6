package tenant

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/metricstream/metricstream/store"
)

// maxSeveral is how many tenants one read may be of.
const maxSeveral = 32

// separator stands between the names of several tenants. No name has it, so no tenant has a name of several.
const separator = "|"

// Several reports whether a name is that of several tenants, see [FromReadRequest].
func Several(id string) bool { return strings.Contains(id, separator) }

// Split returns the tenants that a name stands for: itself, or each of several, sorted.
func Split(id string) []string { return strings.Split(id, separator) }

// FromReadRequest is [FromRequest] for reads that can be of several tenants at once: a header such as a|b names them.
// The name that it returns for several is one, sorted and without repetitions; package federation reads under it. Several
// times the same tenant is that tenant alone.
func FromReadRequest(r *http.Request) (string, error) {
	if id, ok := r.Context().Value(contextKey{}).(string); ok {
		return id, nil
	}
	id := r.Header.Get(Header)
	if id == "" {
		return store.DefaultTenant, nil
	}
	all := Split(id)
	for _, one := range all {
		if err := Validate(one); err != nil {
			return "", fmt.Errorf("header %s: %w", Header, err)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxSeveral {
		return "", fmt.Errorf("header %s: names %d tenants, at most %d can be read together", Header, len(all), maxSeveral)
	}
	return strings.Join(all, separator), nil
}
