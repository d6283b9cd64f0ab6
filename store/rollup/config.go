package rollup

import "fmt"

// Config is the section `rollup`: how samples are downsampled.
type Config struct {
	// MinSamples is from how many samples a minute on, on average over an hour, a series gets rows of its minutes. The
	// samples of sparser ones take less space than such rows, so for them raw is kept as long as rows of minutes are.
	// 0 makes rows for all.
	MinSamples int `yaml:"min_samples"`
}

// DefaultConfig returns what a process without configuration has.
func DefaultConfig() Config { return Config{MinSamples: 6} }

// Validate checks the section.
func (c Config) Validate() error {
	if c.MinSamples < 0 || c.MinSamples > 1_000_000 {
		return fmt.Errorf("rollup.min_samples is %d: set it to a number of samples a minute, such as 6, or 0 for rows of all series", c.MinSamples)
	}
	return nil
}
