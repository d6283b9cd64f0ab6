package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricstream/metricstream/tenant/auth"
)

// start serves on a free port until the test ends.
func start(t *testing.T) (*Server, string) {
	t.Helper()
	s, url, _ := startWith(t, slog.New(slog.DiscardHandler))
	return s, url
}

// open lets everybody in.
func open() *auth.Guard { return auth.New(auth.Config{}, auth.Options{}) }

// startWith also returns how to stop before the test ends.
func startWith(t *testing.T, logger *slog.Logger) (s *Server, url string, stop func()) {
	t.Helper()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })
	s = New(Config{ListenAddress: "127.0.0.1:0", ReadTimeout: time.Minute}, open(), metrics, logger)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	stop = run(t, s)
	return s, "http://" + s.Addr().String(), stop
}

// run runs a server until the test ends or stop is called.
func run(t *testing.T, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func expect(t *testing.T, url string, code int, part string) {
	t.Helper()
	gotCode, body := get(t, url)
	if gotCode != code || !strings.Contains(body, part) {
		t.Errorf("GET %s: got %d %q, want %d and %q", url, gotCode, body, code, part)
	}
}

func TestBeforeOpen(t *testing.T) {
	_, url := start(t)
	expect(t, url+"/-/healthy", 200, "healthy")
	expect(t, url+"/-/ready", 503, "starting")
	expect(t, url+"/metrics", 200, "metrics")
	expect(t, url+"/", 200, "/api/v1/write")
	expect(t, url+"/debug/pprof/", 200, "goroutine")
	expect(t, url+"/api/v1/query", 503, `"errorType":"unavailable"`)
}

func TestReadyIsWhatTheChecksSay(t *testing.T) {
	s, url := start(t)
	var broken error
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") })
	s.Open(handler, []Check{{"storage", func(context.Context) error { return broken }}})
	expect(t, url+"/-/ready", 200, "ready")
	expect(t, url+"/prometheus/-/ready", 200, "ready")
	expect(t, url+"/api/v1/query", 200, "served")
	broken = errors.New("no connection")
	expect(t, url+"/-/ready", 503, "storage: no connection")
	expect(t, url+"/-/healthy", 200, "healthy")
}

func TestDrainWaitsForRequestsUnderWay(t *testing.T) {
	s, url := start(t)
	entered, release := make(chan struct{}), make(chan struct{})
	s.Open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		io.WriteString(w, "served")
	}), nil)
	answered := make(chan string)
	go func() {
		_, body := get(t, url+"/slow")
		answered <- body
	}()
	<-entered
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain with a request under way: %v", err)
	}
	close(release)
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if body := <-answered; body != "served" {
		t.Errorf("the request under way was answered %q", body)
	}
	expect(t, url+"/-/ready", 503, "stopping")
}

// TestPanicsAreLogged guards against a fault that ends a request and is seen by nobody.
func TestPanicsAreLogged(t *testing.T) {
	var log strings.Builder
	h := slog.NewTextHandler(&log, nil) // at the default level
	s, url, stop := startWith(t, slog.New(h))
	s.Open(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }), nil)
	if _, err := http.Get(url + "/api/v1/query"); err == nil {
		t.Error("the connection was not cut")
	}
	stop()
	if !strings.Contains(log.String(), "a bug") {
		t.Errorf("the log has %q", log.String())
	}
}

// TestHead asks as load balancers do.
func TestHead(t *testing.T) {
	s, url := start(t)
	s.Open(http.NotFoundHandler(), nil)
	for _, path := range []string{"/-/healthy", "/-/ready", "/prometheus/-/healthy", "/prometheus/-/ready"} {
		resp, err := http.Head(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %s", path, resp.Status)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	s, _ := start(t)
	second := New(Config{ListenAddress: s.Addr().String()}, open(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	err := second.Listen()
	if err == nil || !strings.Contains(err.Error(), "web.listen_address") {
		t.Errorf("got %v, want an error that names web.listen_address", err)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
	bad := DefaultConfig()
	bad.ListenAddress = "9009"
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "web.listen_address") {
		t.Errorf("got %v", err)
	}
	bad = DefaultConfig()
	bad.ReadTimeout = 0
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "web.read_timeout") {
		t.Errorf("got %v", err)
	}
}
