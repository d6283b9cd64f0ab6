package auth

// Config is the section `auth` of the configuration.
type Config struct {
	// Enabled refuses requests without an API key. Without it everyone who reaches the address may write and read as
	// any tenant, and there is no administration.
	Enabled bool `yaml:"enabled"`
}

// DefaultConfig returns the defaults: everyone is let in.
func DefaultConfig() Config { return Config{} }
