package api

import (
	"fmt"
	"net/http"
	"strings"
)

// Register adds the API below a prefix, such as "" or "/prometheus". It takes the whole of PREFIX/api/v1/ and
// answers what it does not know with 404; patterns of others below that, such as /api/v1/write, go first in
// the mux because they are more specific.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	root := prefix + "/api/v1/"
	mux.HandleFunc(root, func(w http.ResponseWriter, r *http.Request) {
		a.serve(w, r, strings.TrimPrefix(r.URL.Path, root))
	})
	mux.HandleFunc("GET "+prefix+"/federate", func(w http.ResponseWriter, r *http.Request) {
		a.observe("federate", w, r, func(w http.ResponseWriter, r *http.Request) {
			a.answer(w, r, endpoint{get: true, serve: a.compress(http.HandlerFunc(a.federate))})
		})
	})
}

// table is every path below /api/v1 that has no variable in it.
func (a *API) table() map[string]endpoint {
	get := func(h handler) endpoint { return endpoint{get: true, handle: h} }
	both := func(h handler) endpoint { return endpoint{get: true, post: true, handle: h} }
	return map[string]endpoint{
		"query":           both(a.query),
		"query_range":     both(a.queryRange),
		"query_exemplars": both(a.inTurn(a.queryExemplars)),
		"series":          both(a.inTurn(a.series)),
		"labels":          both(a.inTurn(a.labelNames)),
		"format_query":    both(a.formatQuery),
		"parse_query":     both(a.parseQuery),
		"metadata":        get(a.inTurn(a.metadata)),
		"features":        get(a.features),
		"read":            {post: true, serve: a.read},

		"status/buildinfo":   get(a.buildInfo),
		"status/runtimeinfo": get(a.runtimeInfo),
		"status/flags":       get(a.flags),
		"status/config":      get(a.config),
		"status/tsdb":        get(a.inTurn(a.tsdb)),

		"status/tsdb/blocks": fixed(`{"blocks":[]}`),
		"status/walreplay":   fixed(`{"min":0,"max":0,"current":0}`),
		"notifications":      fixed(`[]`),
		"rules":              fixed(`{"groups":[]}`),
		"alerts":             fixed(`{"alerts":[]}`),
		"alertmanagers":      fixed(`{"activeAlertmanagers":[],"droppedAlertmanagers":[]}`),
		"targets":            fixed(`{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}`),
		"targets/metadata":   fixed(`[]`),
		"scrape_pools":       fixed(`{"scrapePools":[]}`),
	}
}

// serve answers one request; path is what stands after /api/v1/.
func (a *API) serve(w http.ResponseWriter, r *http.Request, path string) {
	a.cors.Allow(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	name, ep, ok := a.find(path)
	if !ok {
		a.observe("unknown", w, r, func(w http.ResponseWriter, r *http.Request) {
			a.respondError(w, r, &apiError{notFound, fmt.Errorf("there is no endpoint %s", r.URL.Path)})
		})
		return
	}
	a.observe(name, w, r, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, ep) })
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, ep endpoint) {
	if !ep.allows(r.Method) {
		w.Header().Set("Allow", ep.methods())
		a.writeError(w, http.StatusMethodNotAllowed, &apiError{badData, fmt.Errorf("method %s is not allowed here, only %s", r.Method, ep.methods())})
		return
	}
	r, err := a.withTenant(r)
	switch {
	case err != nil:
		a.respondError(w, r, err)
	case ep.serve != nil:
		ep.serve(w, r)
	default:
		a.compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.run(w, r, ep.handle) }))(w, r)
	}
}

// find returns the endpoint of a path and the name that it has in metrics.
func (a *API) find(path string) (string, endpoint, bool) {
	if ep, ok := a.endpoints[path]; ok {
		return path, ep, true
	}
	// The name is cut out of the decoded path, so that it may hold anything, a slash included.
	if name, ok := strings.CutPrefix(path, "label/"); ok {
		if name, ok = strings.CutSuffix(name, "/values"); ok && name != "" {
			return "label_values", endpoint{get: true, handle: a.inTurn(a.labelValues(name))}, true
		}
	}
	return "", endpoint{}, false
}
