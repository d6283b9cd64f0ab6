package clickhouse_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/config"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// TestTLS opens a store, with both clients behind it, through an end of TLS 1.3 that asks for a client's certificate and
// stands before the real engine, which listens on loopback in plain.
func TestTLS(t *testing.T) {
	authority := testenv.NewAuthority(t)
	cfg := configOf(t)
	u, err := url.Parse(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = authority.Before(t, u.Host)
	cfg.DSN = u.String()
	file := func(name string) string { return filepath.Join(authority.Dir, name) }
	cfg.TLS = &config.TLSConfig{CAFile: file("ca.crt"), CertFile: file("client.crt"), KeyFile: file("client.key")}
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.LabelNames(t.Context(), store.Selection{Tenant: store.DefaultTenant}); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]*config.TLSConfig{
		"no TLS": nil, "no certificate": {CAFile: file("ca.crt")}, "no authority": {CertFile: file("client.crt"), KeyFile: file("client.key")},
	} {
		cfg.TLS = c
		if s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{}); err == nil {
			s.Close()
			t.Errorf("%s: it was let in", name)
		}
	}
	cfg.TLS = &config.TLSConfig{CAFile: file("none.crt")}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "clickhouse.tls") {
		t.Errorf("a file that is not there: %v", err)
	}
}
