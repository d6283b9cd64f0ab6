package web

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics registers what the server has to show, which without TLS is nothing. It is called after Listen.
func (s *Server) RegisterMetrics(r prometheus.Registerer) {
	if s.tls == nil {
		return
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_web_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that is served expires, as Unix time; 0 where it cannot be told.",
	}, s.tls.expiry))
}

// expiry looks at the certificate that the next connection would get.
func (c *certificates) expiry() float64 {
	config, err := c.config(nil)
	if err != nil || len(config.Certificates) == 0 {
		return 0
	}
	of := config.Certificates[0]
	leaf := of.Leaf
	if leaf == nil && len(of.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(of.Certificate[0])
	}
	if leaf == nil {
		return 0
	}
	return float64(leaf.NotAfter.Unix())
}
