package cache

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(*Config){
		"cache.max_bytes":     func(c *Config) { c.MaxBytes = 1000 },
		"cache.ttl":           func(c *Config) { c.TTL = 8 * 24 * time.Hour },
		"cache.max_freshness": func(c *Config) { c.MaxFreshness = 5 * time.Minute },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
