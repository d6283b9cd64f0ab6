package api

import (
	"fmt"
	"regexp"
	"time"
)

// Config limits what clients can ask for.
type Config struct {
	// Timeout ends any request that reads, the time it waits for its turn included. The engine's own timeout
	// and a request's timeout parameter can only shorten it.
	Timeout time.Duration `yaml:"timeout"`

	// MaxConcurrentReads is how many remote reads and federations run at once; others wait. For queries the
	// engine keeps count.
	MaxConcurrentReads int `yaml:"max_concurrent_reads"`

	// MaxSeries ends a request for series, label names or label values that would look at more series.
	MaxSeries int `yaml:"max_series"`

	// ReadMaxSamples limits one remote read request that is answered in one piece; ReadMaxFrameBytes is the
	// size at which a frame of a streamed one is sent.
	ReadMaxSamples    int `yaml:"read_max_samples"`
	ReadMaxFrameBytes int `yaml:"read_max_frame_bytes"`

	// CORSOrigin is an anchored regular expression of the browser origins that may read responses.
	CORSOrigin string `yaml:"cors_origin"`
}

// DefaultConfig returns Prometheus' own defaults, and a million for MaxSeries, which Prometheus does not limit.
func DefaultConfig() Config {
	return Config{
		Timeout:            2 * time.Minute,
		MaxConcurrentReads: 10,
		MaxSeries:          1_000_000,
		ReadMaxSamples:     50_000_000,
		ReadMaxFrameBytes:  1 << 20,
		CORSOrigin:         ".*",
	}
}

// Validate says which key has to be changed, and to what.
func (c Config) Validate() error {
	if c.Timeout <= 0 {
		return fmt.Errorf("timeout is %s: it must be positive, such as 2m", c.Timeout)
	}
	for _, l := range []struct {
		key   string
		value int
	}{
		{"max_concurrent_reads", c.MaxConcurrentReads},
		{"max_series", c.MaxSeries},
		{"read_max_samples", c.ReadMaxSamples},
		{"read_max_frame_bytes", c.ReadMaxFrameBytes},
	} {
		if l.value <= 0 {
			return fmt.Errorf("%s is %d: it must be at least 1", l.key, l.value)
		}
	}
	if _, err := regexp.Compile("^(?s:" + c.CORSOrigin + ")$"); err != nil {
		return fmt.Errorf("cors_origin is not a regular expression, such as https://.*\\.example\\.com: %w", err)
	}
	return nil
}
