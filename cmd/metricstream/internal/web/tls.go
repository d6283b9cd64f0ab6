package web

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// The file of web.config_file has the format that Prometheus and its exporters share, so that one file and one
// generator of certificates serves all of them. What this server does not do is refused rather than ignored.

// loadTLS reads the file and all that it names.
func loadTLS(path string) (*tls.Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := toolkit.Config{
		TLSConfig:  toolkit.TLSConfig{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13},
		HTTPConfig: toolkit.HTTPConfig{HTTP2: true},
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return nil, err
	}
	switch {
	case len(c.Users) > 0:
		return nil, errors.New("basic_auth_users: is not supported; set auth.enabled, and give each user an API key as the password")
	case len(c.HTTPConfig.Header) > 0:
		return nil, errors.New("http_server_config.headers: is not supported; remove it")
	case c.RateLimiterConfig != toolkit.RateLimiterConfig{}:
		return nil, errors.New("rate_limit: is not supported; remove it")
	case c.TLSConfig.MinVersion != tls.VersionTLS13 || c.TLSConfig.MaxVersion != tls.VersionTLS13:
		return nil, errors.New("tls_server_config.min_version: TLS 1.3 is the only version served; set TLS13, or remove it")
	case !c.TLSConfig.IsEnabled():
		return nil, errors.New("tls_server_config: is missing; without TLS there is no need for the file")
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	config, err := toolkit.ConfigToTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, err
	}
	// The certificate is kept too, so that what was last good needs no file.
	certificate, err := config.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	config.Certificates, config.GetCertificate = []tls.Certificate{*certificate}, nil
	config.NextProtos = []string{"http/1.1"}
	if c.HTTPConfig.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	// A resumed session would not look at the client's certificate with the authorities of now.
	config.SessionTicketsDisabled = true
	return config, nil
}

// certificates are those in force: the file is read for each connection, so that new ones need no restart. While it is
// broken, what was last good serves on.
type certificates struct {
	path   string
	logger *slog.Logger

	mu      sync.Mutex
	good    *tls.Config
	problem string
}

func (c *certificates) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	fresh, err := loadTLS(c.path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.good, c.problem = fresh, ""
		return fresh, nil
	}
	if c.problem != err.Error() {
		c.problem = err.Error()
		c.logger.Error("cannot read web.config_file again; connections go on with what was read before", "file", c.path, "err", err)
	}
	return c.good, nil
}

// newCertificates reads the file for the first time.
func newCertificates(path string, logger *slog.Logger) (*certificates, error) {
	good, err := loadTLS(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read web.config_file %s: %w", path, err)
	}
	return &certificates{path: path, logger: logger, good: good}, nil
}
