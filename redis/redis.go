// Package redis owns the connection to Redis, which processes share small state through. What the state is, and what
// happens while Redis is away, is its users' business.
package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/common/config"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config is the section `redis` of the configuration.
type Config struct {
	// Address is host:port; empty is no Redis.
	Address string `yaml:"address"`

	// Username and Password may be empty.
	Username string `yaml:"username"`
	Password string `yaml:"password"`

	// DB is the number of the database.
	DB int `yaml:"db"`

	// TLS, where it is there, even empty, makes the connections encrypted.
	TLS *config.TLSConfig `yaml:"tls,omitempty"`
}

// DefaultConfig returns the defaults: no Redis.
func DefaultConfig() Config { return Config{} }

// Validate checks the section; its errors name the key.
func (c Config) Validate() error {
	if c.Address == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return fmt.Errorf("redis.address: %q is not host:port, such as redis:6379", c.Address)
	}
	if c.DB < 0 {
		return fmt.Errorf("redis.db: %d is not the number of a database; set it to 0 or more", c.DB)
	}
	if c.Username != "" && c.Password == "" {
		return fmt.Errorf("redis.password: is empty while redis.username is %q; set both or neither", c.Username)
	}
	_, err := c.tls()
	return err
}

// tls returns nil where the connections are plain.
func (c Config) tls() (*tls.Config, error) {
	if c.TLS == nil {
		return nil, nil
	}
	t, err := config.NewTLSConfig(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("redis.tls: %w", err)
	}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(c.Address) // Validate has looked at it
	}
	return t, nil
}

// timeout bounds connecting, and each command: whoever waits has a request to answer.
const timeout = time.Second

// New returns a client for a valid configuration with an address. It connects when it is used; the caller closes it.
func New(c Config) *redis.Client {
	o := &redis.Options{
		Addr: c.Address, Username: c.Username, Password: c.Password, DB: c.DB,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		MaxRetries: 1, DialerRetries: 1,
		// Servers of the free edition do not know either command.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	var err error
	if o.TLSConfig, err = c.tls(); err != nil {
		o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, err } // the file went since Validate
	}
	return redis.NewClient(o)
}

// LogTo sends what the library behind the clients of this process logs to a logger, at level debug: its errors are
// returned too. It is called once, before the first New.
func LogTo(logger *slog.Logger) { redis.SetLogger(libraryLog{logger}) }

type libraryLog struct{ logger *slog.Logger }

// Printf implements the library's logger.
func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.logger.DebugContext(ctx, "redis: "+fmt.Sprintf(format, args...))
}
