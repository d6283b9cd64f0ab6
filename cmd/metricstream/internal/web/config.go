package web

import (
	"fmt"
	"net"
	"time"
)

// Config is the section `web` of the configuration.
type Config struct {
	// ListenAddress is host:port; an empty host is every address of the machine.
	ListenAddress string `yaml:"listen_address"`

	// ReadTimeout bounds reading one request, its body included.
	ReadTimeout time.Duration `yaml:"read_timeout"`

	// ConfigFile is a file with certificates in the format of Prometheus' --web.config.file; empty is no TLS.
	ConfigFile string `yaml:"config_file"`

	// EnableAdminAPI serves the administration without auth.enabled too, as Prometheus' flag of that name does: whoever
	// reaches the address may then delete data and change limits. With auth.enabled it is served in any case.
	EnableAdminAPI bool `yaml:"enable_admin_api"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{ListenAddress: ":9009", ReadTimeout: time.Minute}
}

// Validate checks the section; messages name the key.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.ListenAddress); err != nil {
		return fmt.Errorf("web.listen_address: %q is not host:port, such as 127.0.0.1:9009 or :9009", c.ListenAddress)
	}
	if c.ReadTimeout <= 0 {
		return fmt.Errorf("web.read_timeout: %v is not a positive duration, such as 1m", c.ReadTimeout)
	}
	if c.ConfigFile != "" {
		if _, err := loadTLS(c.ConfigFile); err != nil {
			return fmt.Errorf("web.config_file: cannot use %s: %w", c.ConfigFile, err)
		}
	}
	return nil
}
