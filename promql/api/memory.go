package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/metricstream/metricstream/promql"
)

// withMemory says in the context what of a request matters to an engine that remembers answers: whether it may, and whether
// an instant query leaves the time to the server.
func withMemory(ctx context.Context, r *http.Request) context.Context {
	for _, line := range r.Header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.TrimSpace(directive)) {
			case "no-store", "no-cache":
				ctx = promql.WithNoStore(ctx)
			}
		}
	}
	if r.FormValue("time") == "" {
		ctx = promql.WithNewest(ctx)
	}
	return ctx
}
