package api

import (
	"net/http"
	"slices"
)

// Path is one endpoint below /api/v1/.
type Path struct {
	Method string

	// Name is what stands after /api/v1/, such as query or label/{name}/values.
	Name string
}

// labelValuesName is the name of the endpoint with a variable in it.
const labelValuesName = "label/{name}/values"

// Paths returns all endpoints below /api/v1/, sorted by name.
func (a *API) Paths() []Path {
	paths := []Path{{http.MethodGet, labelValuesName}}
	for name, ep := range a.endpoints {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if ep.allows(method) {
				paths = append(paths, Path{method, name})
			}
		}
	}
	slices.SortFunc(paths, func(x, y Path) int {
		if x.Name != y.Name {
			if x.Name < y.Name {
				return -1
			}
			return 1
		}
		if x.Method < y.Method {
			return -1
		}
		return 1
	})
	return paths
}

// NameOf returns the name of the endpoint that serves a path, given as what stands after /api/v1/, and whether there is
// one.
func (a *API) NameOf(path string) (name string, ok bool) {
	name, _, ok = a.find(path)
	if name == "label_values" {
		name = labelValuesName
	}
	return name, ok
}
