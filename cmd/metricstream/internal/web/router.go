package web

import (
	"net/http"
	"strings"

	"github.com/metricstream/metricstream/tenant/auth"
)

// Route is an endpoint with what a key needs for it.
type Route struct {
	// Method is empty for every method.
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Need   auth.Need `json:"-"`
}

// Router is a mux in which no endpoint can be without a need, and which knows all that it has. It is filled by one
// goroutine before it serves.
type Router struct {
	mux    *http.ServeMux
	guard  *auth.Guard
	routes []Route
}

// NewRouter returns an empty router behind a guard.
func NewRouter(g *auth.Guard) *Router { return &Router{mux: http.NewServeMux(), guard: g} }

// Handle adds an endpoint; the pattern is as for [http.ServeMux].
func (r *Router) Handle(pattern string, need auth.Need, h http.Handler) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	}
	r.routes = append(r.routes, Route{Method: method, Path: path, Need: need})
	r.mux.Handle(pattern, r.guard.Protect(need, h))
}

// HandleTree adds a handler of all below a pattern, which has the endpoints listed; need is asked for each request,
// also of paths that are none of these.
func (r *Router) HandleTree(pattern string, endpoints []Route, need func(*http.Request) auth.Need, h http.Handler) {
	r.routes = append(r.routes, endpoints...)
	r.mux.Handle(pattern, r.guard.ProtectEach(need, h))
}

// Routes returns all endpoints in the order in which they were added.
func (r *Router) Routes() []Route { return r.routes }

// ServeHTTP implements [http.Handler].
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }
