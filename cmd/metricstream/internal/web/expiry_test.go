package web

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCertificateExpiry(t *testing.T) {
	a := testenv.NewAuthority(t)
	s := New(Config{ListenAddress: "127.0.0.1:0", ReadTimeout: time.Minute, ConfigFile: a.WebConfig(t)}, open(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	r := prometheus.NewRegistry()
	s.RegisterMetrics(r)
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%v: %v", families, err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, "server.crt"), filepath.Join(a.Dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	if got := families[0].Metric[0].GetGauge().GetValue(); got != float64(pair.Leaf.NotAfter.Unix()) {
		t.Errorf("got %v, want %v", got, pair.Leaf.NotAfter.Unix())
	}

	plain, _ := start(t)
	none := prometheus.NewRegistry()
	plain.RegisterMetrics(none)
	if n, err := testutil.GatherAndCount(none); n != 0 || err != nil {
		t.Errorf("without TLS: %d metrics, %v", n, err)
	}
}
