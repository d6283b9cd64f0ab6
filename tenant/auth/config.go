package auth

// Config is the section `auth` of the configuration.
type Config struct {
	// Enabled refuses requests without an API key. Without it everyone who reaches the address may write and read as
	// any tenant, and the administration is open or closed to all: web.enable_admin_api.
	Enabled bool `yaml:"enabled"`
}

// DefaultConfig returns the defaults: everyone is let in.
func DefaultConfig() Config { return Config{} }
