package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/tenant/admin"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
)

// openMetadata opens the metadata database where there is one, and lets those in that have a key.
func (n *node) openMetadata(ctx context.Context) error {
	if !n.config.Auth.Enabled {
		n.warnOpen()
	}
	if !n.role.embeds() && n.config.Metadata.DSN == "" {
		n.limitsOf = auth.Grants(nil, n.config.Limits)
		return n.openPrivacy(ctx)
	}
	name, changes := "metadata", (*breaker.Breaker)(nil)
	if n.config.Metadata.DSN != "" {
		name = "PostgreSQL"
		changes = n.breaker(name, unavailable)
	}
	err := n.retry(ctx, theMetadata, func() (err error) {
		n.parts.metadata, err = db.Open(ctx, n.config.Metadata, db.Options{Dir: n.config.Storage.Path, Changes: changes, Limits: n.config.Limits, PasswordCost: n.passwordCost, PII: n.config.PII.Settings, LimitStatus: n.config.RemoteWrite.LimitStatus, Classes: n.parts.policies.Numbers(), Logger: n.logger, Registerer: n.registry})
		return err
	})
	if err != nil {
		return err
	}
	n.dependencies = append(n.dependencies, dependency{name, changes == nil, n.parts.metadata.Ping, changes})
	n.stack.Push("the metadata database", func(context.Context) error { return n.parts.metadata.Close() })
	n.limitsOf = auth.Grants(n.parts.metadata, n.config.Limits)
	n.parts.policies.Assign(func(tenant string) []retention.Assignment { return n.parts.metadata.Snapshot().Classes(tenant) })
	n.stack.Go("the metadata", n.parts.metadata.Run)
	if err := n.openPrivacy(ctx); err != nil {
		return err
	}
	if n.config.Auth.Enabled {
		if err := n.retry(ctx, theMetadata, func() error { return n.makeFirstKey(ctx) }); err != nil {
			return err
		}
	}
	n.guard.Open(n.parts.metadata)
	return nil
}

// makeFirstKey makes a key for everything where nobody has one, and prints it at once: nobody can show it again.
func (n *node) makeFirstKey(ctx context.Context) error {
	token, err := n.parts.metadata.FirstKey(ctx)
	if err == nil && token != "" {
		fmt.Printf("\nThe first API key, which may do everything and makes others (metricstream key create --help). It is not shown again:\n\n  %s\n\n", token)
	}
	return err
}

// warnOpen says so when others than this machine's users are let in.
func (n *node) warnOpen() {
	host, _, err := net.SplitHostPort(n.config.Web.ListenAddress)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return
	}
	// Certificates of clients may keep others out, but one that is let in may do everything too.
	n.logger.Warn("everyone who reaches this address may write and read everything: set auth.enabled, or listen on 127.0.0.1", "address", n.config.Web.ListenAddress)
}

// handleAdmin serves an endpoint of the administration, or says how to turn it on.
func (n *node) handleAdmin(pattern string, need auth.Need, h http.Handler) {
	switch {
	case need == auth.Open:
	case !n.config.Auth.Enabled && !n.config.Web.EnableAdminAPI:
		h = auth.Closed("the administration is off: set auth.enabled (--auth.enabled), or web.enable_admin_api (--web.enable-admin-api) to let everyone who reaches this address use it")
	case n.parts.metadata == nil:
		h = auth.Closed("the administration needs a database: set metadata.dsn (--metadata.dsn)")
	case !n.config.Auth.Enabled:
		h = auth.Unguarded(h)
	}
	n.mux.Handle(pattern, need, sameSite(h))
}

// sameSite refuses changes that a page of another site lets a browser ask for, with the password that it remembers or,
// without any, from the machine that it runs on.
func sameSite(h http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(auth.Closed("pages of other sites may not change anything"))
	return p.Handler(h)
}

// addAdmin serves the administration.
func (n *node) addAdmin(served []web.Route) {
	for _, e := range admin.New(n.parts.metadata, n.logger).Endpoints() {
		n.handleAdmin(e.Pattern, e.Need, e.Handler)
	}
	n.handleAdmin("GET /api/v1/admin/routes", auth.Operator, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		showRoutes(w, append(served, n.mux.Routes()...))
	}))
}

// showRoutes answers with every endpoint of the process and what a key needs for it.
func showRoutes(w http.ResponseWriter, routes []web.Route) {
	type shown struct {
		web.Route
		Need string `json:"need"`
	}
	var all []shown
	for _, r := range routes {
		all = append(all, shown{r, r.Need.String()})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": all}) // a client that is gone hears nothing
}

// apiNeeds are what keys need for the endpoints below /api/v1/ of package api. One that is missing here is an
// operator's, see [auth.Need].
var apiNeeds = map[string]auth.Need{
	"query":               auth.Read,
	"query_range":         auth.Read,
	"query_exemplars":     auth.Read,
	"series":              auth.Read,
	"labels":              auth.Read,
	"label/{name}/values": auth.Read,
	"metadata":            auth.Read,
	"read":                auth.Read,

	// Nothing of a tenant's data.
	"format_query":       auth.Read,
	"parse_query":        auth.Read,
	"features":           auth.Read,
	"status/buildinfo":   auth.Read,
	"status/runtimeinfo": auth.Read,
	"status/walreplay":   auth.Read,
	"status/tsdb/blocks": auth.Read,
	"notifications":      auth.Read,
	"rules":              auth.Read,
	"alerts":             auth.Read,
	"alertmanagers":      auth.Read,
	"targets":            auth.Read,
	"targets/metadata":   auth.Read,
	"scrape_pools":       auth.Read,

	"status/tsdb": auth.ReadAll,

	// How the process is set up is its operator's business.
	"status/flags":  auth.Operator,
	"status/config": auth.Operator,
}

// routeReads sends what is below a prefix to the handler that the API was registered in.
func (n *node) routeReads(prefix string, a *api.API, h http.Handler) {
	root := prefix + "/api/v1/"
	var endpoints []web.Route
	for _, p := range a.Paths() {
		endpoints = append(endpoints, web.Route{Method: p.Method, Path: root + p.Name, Need: apiNeeds[p.Name]})
	}
	need := func(r *http.Request) auth.Need {
		if r.Method == http.MethodOptions {
			return auth.Open // browsers ask so, without a key, whether they may ask
		}
		name, _ := a.NameOf(strings.TrimPrefix(r.URL.Path, root))
		return apiNeeds[name]
	}
	n.mux.HandleTree(root, endpoints, need, h)
	n.mux.Handle("GET "+prefix+"/federate", auth.Read, h)
}
