package tracing

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// Config is the section `tracing`: where the spans of this process go. The variables of OpenTelemetry (OTEL_...) add
// what is not here, such as headers and certificates, and OTEL_EXPORTER_OTLP_ENDPOINT stands for an endpoint that is
// empty.
type Config struct {
	// Endpoint is host:port of a collector that takes OTLP over HTTP, such as Jaeger's; empty is no tracing.
	Endpoint string `yaml:"endpoint"`

	// SampleRatio is the part of the requests that is traced, where the client has not decided already, from 0 to 1.
	SampleRatio float64 `yaml:"sample_ratio"`

	// Insecure sends without TLS.
	Insecure bool `yaml:"insecure"`
}

// DefaultConfig returns the defaults: no tracing. One request of a hundred shows what requests spend their time on, and
// costs nothing that could be measured.
func DefaultConfig() Config { return Config{SampleRatio: 0.01} }

// Validate checks the section; messages name the key.
func (c Config) Validate() error {
	if c.Endpoint != "" {
		if _, _, err := net.SplitHostPort(c.Endpoint); err != nil || strings.Contains(c.Endpoint, "/") {
			return fmt.Errorf("tracing.endpoint: %q is not host:port, such as jaeger:4318", c.Endpoint)
		}
	}
	if !(c.SampleRatio >= 0 && c.SampleRatio <= 1) {
		return fmt.Errorf("tracing.sample_ratio: %v is not a number from 0 to 1, such as 0.01", c.SampleRatio)
	}
	return nil
}

// enabled reports whether spans go anywhere.
func (c Config) enabled() bool {
	return c.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}
