package promql

import (
	"fmt"
	"regexp"
	"time"
)

// Config is the section `query` of the configuration: what queries and other reads may take.
type Config struct {
	// Timeout ends the evaluation of a query, the wait for its turn included.
	Timeout time.Duration `yaml:"timeout"`

	// MaxSamples bounds what a query reads from the store with all its selectors, and what the engine holds
	// at once while it evaluates. A sample takes 16 bytes.
	MaxSamples int `yaml:"max_samples"`

	// MaxSeries bounds the series that a query reads with all its selectors.
	MaxSeries int `yaml:"max_series"`

	// MaxConcurrency is the number of queries and other reads of series that run at once; others wait, and tenants are
	// served in turn.
	MaxConcurrency int `yaml:"max_concurrency"`

	// MaxWaiting is how many reads of one tenant may wait for their turn; more are refused with 429.
	MaxWaiting int `yaml:"max_waiting"`

	// SlowLog is how long the evaluation of a query may take before it is logged; 0 logs none.
	SlowLog time.Duration `yaml:"slow_log"`

	// LookbackDelta is how far an instant selector looks back for a sample.
	LookbackDelta time.Duration `yaml:"lookback_delta"`

	// CORSOrigin is an anchored regular expression of the browser origins that may read responses.
	CORSOrigin string `yaml:"cors_origin"`
}

// DefaultConfig returns the defaults: Prometheus' own, and a limit of series, of which Prometheus has none.
func DefaultConfig() Config {
	return Config{
		Timeout:        2 * time.Minute,
		MaxSamples:     50_000_000,
		MaxSeries:      1_000_000,
		MaxConcurrency: 20,
		MaxWaiting:     1000,
		LookbackDelta:  5 * time.Minute,
		CORSOrigin:     ".*",
	}
}

// Validate checks the section; messages name the key and what to write instead.
func (c Config) Validate() error {
	for _, f := range []struct {
		key   string
		value int64
		want  string
	}{
		{"timeout", int64(c.Timeout), "a positive duration, such as 2m"},
		{"max_samples", int64(c.MaxSamples), "a positive number, such as 50000000"},
		{"max_series", int64(c.MaxSeries), "a positive number, such as 1000000"},
		{"max_concurrency", int64(c.MaxConcurrency), "a positive number, such as 20"},
		{"max_waiting", int64(c.MaxWaiting), "a positive number, such as 1000"},
	} {
		if f.value <= 0 {
			return fmt.Errorf("query.%s: %d is not %s", f.key, f.value, f.want)
		}
	}
	if c.LookbackDelta < time.Millisecond {
		return fmt.Errorf("query.lookback_delta: %v is less than a millisecond; write a duration such as 5m", c.LookbackDelta)
	}
	if c.SlowLog < 0 {
		return fmt.Errorf("query.slow_log: %v is less than 0; write a duration such as 10s, or 0 for none", c.SlowLog)
	}
	if _, err := regexp.Compile("^(?s:" + c.CORSOrigin + ")$"); err != nil {
		return fmt.Errorf("query.cors_origin is not a regular expression, such as https://.*\\.example\\.com: %w", err)
	}
	return nil
}
