package config

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/metricstream/metricstream/correlation"
)

// Log is the section `log`.
type Log struct {
	// Level is the least that is logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is logfmt or json.
	Format string `yaml:"format"`
}

// DefaultLog returns the defaults.
func DefaultLog() Log { return Log{Level: "info", Format: "logfmt"} }

// Validate checks the section.
func (l Log) Validate() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return fmt.Errorf("log.level: %q is none of debug, info, warn, error", l.Level)
	}
	if l.Format != "logfmt" && l.Format != "json" {
		return fmt.Errorf("log.format: %q is neither logfmt nor json", l.Format)
	}
	return nil
}

// Logger returns the logger of a section that is valid.
func (l Log) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // checked by Validate
	options := &slog.HandlerOptions{Level: level}
	var lines slog.Handler = slog.NewTextHandler(w, options)
	if l.Format == "json" {
		lines = slog.NewJSONHandler(w, options)
	}
	return slog.New(correlation.NewHandler(lines))
}
