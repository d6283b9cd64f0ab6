// Package web owns the HTTP listener of a process and its health: it listens from the first moment, answers 503
// until the parts behind the API are up, and tells by /-/healthy and /-/ready how things stand.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/metricstream/metricstream/tenant/auth"
	"go.opentelemetry.io/otel/trace"
)

// Check says whether something that the process needs works now.
type Check struct {
	Name string
	Func func(ctx context.Context) error
}

// Server is the HTTP server of a process.
type Server struct {
	config   Config
	logger   *slog.Logger
	listener net.Listener
	always   *Router
	tls      *certificates // nil without TLS
	tracer   trace.Tracer  // nil without traces

	mu   sync.RWMutex // held for reading while open's handler serves a request
	open *opened
}

// opened is what Open was given.
type opened struct {
	handler http.Handler
	checks  []Check
}

// checkTimeout bounds all the checks behind one /-/ready.
const checkTimeout = 5 * time.Second

// New returns a server that does not listen yet. The metrics handler is served from the start, to keys that the guard
// lets in; health is told to everybody, for probes have no keys.
func New(c Config, guard *auth.Guard, metrics http.Handler, logger *slog.Logger) *Server {
	s := &Server{config: c, logger: logger, always: NewRouter(guard)}
	handle := func(pattern string, need auth.Need, h http.HandlerFunc) { s.always.Handle(pattern, need, h) }
	s.always.Handle("GET /metrics", auth.Monitor, metrics)
	for _, prefix := range []string{"", "/prometheus"} {
		handle("GET "+prefix+"/-/healthy", auth.Open, s.healthy)
		handle("GET "+prefix+"/-/ready", auth.Open, s.ready)
	}
	// As in Prometheus, a profile can be taken at any time.
	handle("/debug/pprof/", auth.Operator, pprof.Index)
	handle("/debug/pprof/profile", auth.Operator, pprof.Profile)
	handle("/debug/pprof/trace", auth.Operator, pprof.Trace)
	handle("GET /{$}", auth.Open, landing)
	handle("/", auth.Open, s.rest) // the handler of Open has needs of its own
	return s
}

// Routes returns the endpoints that are served from the start.
func (s *Server) Routes() []Route { return s.always.Routes() }

// Listen takes the address and reads the certificates, so that an address in use is an error of the start and not of a
// loop.
func (s *Server) Listen() error {
	if s.config.ConfigFile != "" {
		var err error
		if s.tls, err = newCertificates(s.config.ConfigFile, s.logger); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", s.config.ListenAddress)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (web.listen_address): %w", s.config.ListenAddress, err)
	}
	s.listener = l
	return nil
}

// Addr returns the address that Listen took.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx is done, then lets the requests under way finish.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.correlate(s.always),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.config.ReadTimeout,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() {
		if s.tls == nil {
			failed <- srv.Serve(s.listener)
			return
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: s.tls.config}
		failed <- srv.ServeTLS(s.listener, "", "")
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("cannot serve HTTP on %s: %w", s.config.ListenAddress, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// Open lets requests through to the handler. From now on the process is ready whenever all the checks pass.
func (s *Server) Open(handler http.Handler, checks []Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = &opened{handler, checks}
}

// Drain ends what Open began: new requests get 503, and those under way are waited for until ctx ends.
func (s *Server) Drain(ctx context.Context) error {
	drained := make(chan struct{})
	go func() {
		s.mu.Lock()
		s.open = nil
		s.mu.Unlock()
		close(drained)
	}()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests are still under way: %w", ctx.Err())
	}
}

func (s *Server) rest(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.open != nil {
		s.open.handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `{"status":"error","errorType":"unavailable","error":"starting or stopping; GET /-/ready tells when requests are served"}`)
}

// landing is for a person who opens the address in a browser.
func landing(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `MetricStream: a Prometheus-compatible remote-write backend.

POST /api/v1/write           remote write 1.0 and 2.0
GET  /api/v1/query?query=up  the Prometheus HTTP API; in Grafana, a Prometheus data source with this address
GET  /api/v1/status/config   the configuration in force
GET  /api/v1/admin/...       tenants and API keys, with auth.enabled or web.enable_admin_api; /api/v1/admin/openapi.yaml
GET  /metrics                metrics of this process
GET  /-/ready                whether writes and queries work
`)
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "MetricStream is healthy.")
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	o := s.open
	s.mu.RUnlock()
	if o == nil {
		http.Error(w, "not ready: starting or stopping", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	for _, c := range o.checks {
		if err := c.Func(ctx); err != nil {
			http.Error(w, fmt.Sprintf("not ready: %s: %v", c.Name, err), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "MetricStream is ready.")
}
