package embedded

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says how a log is kept on disk.
type Config struct {
	// SegmentBytes is the size at which a new segment file begins.
	SegmentBytes int64 `yaml:"segment_bytes"`

	// RetentionAge is how long records stay after they were written. Records that no consumer has
	// committed stay longer.
	RetentionAge time.Duration `yaml:"retention_age"`

	// MaxBytes bounds the size of all segments. Committed segments give way when it is reached; when there
	// are none, writes are refused until a consumer commits.
	MaxBytes int64 `yaml:"max_bytes"`

	// SkipCorrupt opens a log that is damaged in the middle, without the records that are damaged. Without it
	// such a log is refused, and the error names the place.
	SkipCorrupt bool `yaml:"skip_corrupt"`
}

// DefaultConfig returns the default configuration.
func DefaultConfig() Config {
	return Config{SegmentBytes: 128 << 20, RetentionAge: time.Hour, MaxBytes: 16 << 30}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	switch {
	case c.SegmentBytes < 64<<10 || c.SegmentBytes > 1<<30:
		return fmt.Errorf("segment_bytes: %d is not between 64 KiB and 1 GiB; 134217728 is the default", c.SegmentBytes)
	case c.RetentionAge < 0:
		return fmt.Errorf("retention_age: %v is negative; 0s keeps nothing that is committed", c.RetentionAge)
	case c.MaxBytes < 2*c.SegmentBytes:
		return fmt.Errorf("max_bytes: %d is less than two segments; set it to %d or more", c.MaxBytes, 2*c.SegmentBytes)
	}
	return nil
}

// Options say what a log is for.
type Options struct {
	// Topic is the name under which the log's records are produced and consumed; a log has one topic.
	Topic string

	// Partitions is the number of partitions of a new log. An existing log keeps the number that it has.
	Partitions int

	// Unconsumed says that nobody consumes this log, as nobody does with dead letters: its records leave by
	// age, or the oldest first when the log is full.
	Unconsumed bool

	// Logger receives what an operator should know; nil is silence.
	Logger *slog.Logger

	// Registerer receives the log's metrics; nil is none.
	Registerer prometheus.Registerer
}
