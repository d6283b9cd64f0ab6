package api

import (
	"net/http"
	"regexp"
)

// CORS lets scripts of some origins read responses in browsers.
type CORS struct {
	any     bool
	origins *regexp.Regexp
}

// NewCORS returns what lets scripts of the origins read that an anchored regular expression matches, see
// [promql.Config.CORSOrigin], which has to be valid.
func NewCORS(origins string) *CORS {
	return &CORS{any: origins == ".*", origins: regexp.MustCompile("^(?s:" + origins + ")$")}
}

// Allow sets the headers of the response to a request.
func (c *CORS) Allow(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin, X-API-Key, X-Correlation-ID, X-Scope-OrgID, Traceparent, X-MetricStream-Resolution, X-Read-Consistency, X-Read-Consistency-Offsets")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Expose-Headers", "Date, X-Correlation-ID")
	if c.any {
		h.Set("Access-Control-Allow-Origin", "*")
	} else if c.origins.MatchString(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
	}
}
