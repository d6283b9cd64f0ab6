package cache

import (
	"fmt"
	"time"
)

// Config is the section `cache` of the configuration: what is remembered of the answers to queries.
type Config struct {
	// Enabled is whether anything is remembered at all.
	Enabled bool `yaml:"enabled"`

	// MaxBytes bounds the memory of this process. What Redis keeps, where redis.address is set, is bounded by TTL and
	// by its own maxmemory.
	MaxBytes int64 `yaml:"max_bytes"`

	// TTL is how long anything is remembered at most.
	TTL time.Duration `yaml:"ttl"`

	// MaxFreshness is how old data has to be for an answer about it to be remembered: what is younger may still be on its
	// way. Samples that come later than that are noticed.
	MaxFreshness time.Duration `yaml:"max_freshness"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Enabled: true, MaxBytes: 128 << 20, TTL: 24 * time.Hour, MaxFreshness: 10 * time.Minute}
}

const (
	// maxTTL is less than how long the tables keep what has changed.
	maxTTL = 7 * 24 * time.Hour

	// minFreshness leaves a minute for clocks that disagree beside store.LateAfterMs.
	minFreshness = 6 * time.Minute

	minBytes = 1 << 20
)

// Validate checks the section; messages name the key and what to write instead.
func (c Config) Validate() error {
	switch {
	case c.MaxBytes < minBytes:
		return fmt.Errorf("cache.max_bytes: %d is less than %d; write a number of bytes such as 134217728, or cache.enabled: false", c.MaxBytes, minBytes)
	case c.TTL <= 0 || c.TTL > maxTTL:
		return fmt.Errorf("cache.ttl: %v is not between 1ms and %v; 24h is the default", c.TTL, maxTTL)
	case c.MaxFreshness < minFreshness:
		return fmt.Errorf("cache.max_freshness: %v is less than %v, which samples that are on their way need; 10m is the default", c.MaxFreshness, minFreshness)
	}
	return nil
}
