package engine

import (
	"errors"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestStartChild_PortTaken has another process come between the choice of the port and the engine's bind.
func TestStartChild_PortTaken(t *testing.T) {
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	library, err := Fetch(t.Context(), cache, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Options{Dir: t.TempDir(), Library: library, Args: []string{}, Env: []string{"METRICSTREAM_ENGINE_HOST=1"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	held, err := lockDir(t.Context(), o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	e := &Engine{opts: o, logger: o.Logger, metrics: newMetrics(prometheus.NewRegistry()), locks: held}
	e.access.addr = taken.Addr().String()
	_, port, _ := net.SplitHostPort(e.access.addr)
	e.access.port, _ = strconv.Atoi(port)
	e.access.user, e.access.password = userName, "secret"

	if _, err := e.startChild(t.Context()); !errors.Is(err, errPortTaken) {
		t.Fatalf("%v", err)
	}
	c, err := e.startOnFreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stranger := e.access
	stranger.password = "wrong"
	if !answers(t.Context(), e.access) || !answers(t.Context(), stranger) {
		t.Error("an answer, or a refusal, is taken for none")
	}
	c.shutdown()
	<-c.exited
	if answers(t.Context(), e.access) {
		t.Error("an engine that is gone is taken to answer")
	}
}
