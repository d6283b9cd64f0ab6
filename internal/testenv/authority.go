package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority with a server's and a client's certificate for loopback, as files of a folder:
// ca.crt, server.crt, server.key, client.crt, client.key.
type Authority struct {
	Dir string

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with certificates that are good for a day.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Dir: t.TempDir()}
	template := certificate(t)
	template.IsCA, template.KeyUsage, template.BasicConstraintsValid = true, x509.KeyUsageCertSign, true
	a.cert = template
	der := a.issue(t, "ca", template)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Renew(t)
	return a
}

// Renew replaces the certificates of the server and the client.
func (a *Authority) Renew(t testing.TB) {
	t.Helper()
	for _, name := range []string{"server", "client"} {
		template := certificate(t)
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		a.issue(t, name, template)
	}
}

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "MetricStream's tests " + serial.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// issue signs a certificate and writes it with its key; the authority's own is signed by itself.
func (a *Authority) issue(t testing.TB, name string, template *x509.Certificate) (der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.Dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return der
}

// WebConfig writes a web configuration file that asks for clients' certificates and returns its path.
func (a *Authority) WebConfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(a.Dir, "web.yml")
	const text = `tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Pool has the authority's own certificate.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// Client is a client's configuration with its certificate.
func (a *Authority) Client(t testing.TB) *tls.Config {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, "client.crt"), filepath.Join(a.Dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{own}}
}

// Before returns an address that speaks TLS 1.3 with clients that have a certificate of the authority, and goes on to another
// in plain: for servers that do not speak TLS themselves.
func (a *Authority) Before(t testing.TB, address string) string {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, "server.crt"), filepath.Join(a.Dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", address)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	return listener.Addr().String()
}
