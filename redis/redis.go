// Package redis owns the connection to Redis, which receivers share small state through. What the state is, and what
// happens while Redis is away, is its users' business.
package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

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
	return nil
}

// timeout bounds connecting, and each command: whoever waits has a request to answer.
const timeout = time.Second

// New returns a client for a valid configuration with an address. It connects when it is used; the caller closes it.
func New(c Config) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: c.Address, Username: c.Username, Password: c.Password, DB: c.DB,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		MaxRetries: 1, DialerRetries: 1,
		// Servers of the free edition do not know either command.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// LogTo sends what the library behind the clients of this process logs to a logger, at level debug: its errors are
// returned too. It is called once, before the first New.
func LogTo(logger *slog.Logger) { redis.SetLogger(libraryLog{logger}) }

type libraryLog struct{ logger *slog.Logger }

// Printf implements the library's logger.
func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.logger.DebugContext(ctx, "redis: "+fmt.Sprintf(format, args...))
}
