package web

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// startTLS serves with the certificates of a folder, to clients that have one of its authority.
func startTLS(t *testing.T, a *testenv.Authority, log io.Writer) (url string, stop func()) {
	t.Helper()
	s := New(Config{ListenAddress: "127.0.0.1:0", ReadTimeout: time.Minute, ConfigFile: a.WebConfig(t)}, open(), http.NotFoundHandler(), slog.New(slog.NewTextHandler(log, nil)))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	return "https://" + s.Addr().String(), run(t, s)
}

// dial asks for health on a connection of its own and returns the serial number of the server's certificate.
func dial(url string, c *tls.Config) (serial string, _ error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url + "/-/healthy")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.TLS.PeerCertificates[0].SerialNumber.String() + resp.Proto, nil
}

func TestTLS(t *testing.T) {
	a, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	var log strings.Builder
	url, stop := startTLS(t, a, &log)
	first, err := dial(url, a.Client(t))
	if err != nil || !strings.HasSuffix(first, "HTTP/2.0") {
		t.Fatalf("%s, %v", first, err)
	}
	old := a.Client(t)
	old.MaxVersion = tls.VersionTLS12
	unknown := stranger.Client(t)
	unknown.RootCAs = a.Pool()
	for name, c := range map[string]*tls.Config{"TLS 1.2": old, "no certificate": {RootCAs: a.Pool()}, "a certificate of another authority": unknown, "no trust": {RootCAs: x509.NewCertPool()}} {
		if _, err := dial(url, c); err == nil {
			t.Errorf("a client with %s was let in", name)
		}
	}
	if resp, err := http.Get(strings.Replace(url, "https", "http", 1) + "/-/healthy"); err == nil && resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %s", resp.Status)
	}

	a.Renew(t)
	second, err := dial(url, a.Client(t))
	if err != nil || second == first {
		t.Errorf("after the renewal: %s, before %s, %v", second, first, err)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "server.crt"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if third, err := dial(url, a.Client(t)); err != nil || third != second {
			t.Errorf("with a broken file: %s, %v", third, err)
		}
	}
	stop()
	if n := strings.Count(log.String(), "web.config_file"); n != 1 {
		t.Errorf("the broken file is logged %d times:\n%s", n, log.String())
	}
}

func TestTLSFiles(t *testing.T) {
	a := testenv.NewAuthority(t)
	good, err := os.ReadFile(a.WebConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]string{
		"basic_auth_users":      string(good) + "basic_auth_users: {x: y}\n",
		"headers":               string(good) + "http_server_config: {headers: {X-Frame-Options: deny}}\n",
		"rate_limit":            string(good) + "rate_limit: {interval: 1s, burst: 1}\n",
		"min_version":           strings.Replace(string(good), "tls_server_config:\n", "tls_server_config:\n  min_version: TLS12\n", 1),
		"tls_server_config":     "http_server_config: {http2: false}\n",
		"nothing":               string(good) + "nothing: 1\n",
		"no such file":          strings.Replace(string(good), "server.crt", "other.crt", 1),
		"EOF":                   "",
		"Client Auth":           strings.Replace(string(good), "  client_auth_type: RequireAndVerifyClientCert\n", "", 1),
		"web.config_file: cann": "tls_server_config: [",
	} {
		file := filepath.Join(a.Dir, "bad.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := DefaultConfig()
		c.ConfigFile = file
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "web.config_file") {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
