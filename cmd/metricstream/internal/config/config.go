// Package config owns the configuration of a process: one YAML file, flags over it, and the defaults under both.
// Each section's defaults and checks stand beside its struct in the package that it configures.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/strongread"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/tracing"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/redis"
	"github.com/metricstream/metricstream/remotewrite"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant/auth"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/metricstream/metricstream/tenant/limits"
	"go.yaml.in/yaml/v3"
)

// Config is everything that can be configured.
type Config struct {
	Log         Log                `yaml:"log"`
	Web         web.Config         `yaml:"web"`
	Storage     Storage            `yaml:"storage"`
	Auth        auth.Config        `yaml:"auth"`
	Metadata    db.Config          `yaml:"metadata"`
	Limits      limits.Limits      `yaml:"limits"`
	PII         pii.Config         `yaml:"pii"`
	RemoteWrite remotewrite.Config `yaml:"remote_write"`
	Redis       redis.Config       `yaml:"redis"`
	Kafka       kafka.Config       `yaml:"kafka"`
	ClickHouse  clickhouse.Config  `yaml:"clickhouse"`
	Retention   retention.Config   `yaml:"retention"`
	Rollup      rollup.Config      `yaml:"rollup"`
	Query       promql.Config      `yaml:"query"`
	Cache       cache.Config       `yaml:"cache"`
	StrongReads strongread.Config  `yaml:"strong_reads"`
	Tracing     tracing.Config     `yaml:"tracing"`
}

// Storage is the section `storage`: where the embedded parts keep their data.
type Storage struct {
	// Path is a folder, created where it does not exist. Nothing is written outside it.
	Path string `yaml:"path"`
}

// Validate checks the section.
func (s Storage) Validate() error {
	if s.Path == "" {
		return errors.New("storage.path: is empty; name a folder for the data, such as ./data")
	}
	return nil
}

// Default returns the configuration of a process without file and flags: embedded parts, data in ./data.
func Default() Config {
	return Config{
		Log:         DefaultLog(),
		Web:         web.DefaultConfig(),
		Storage:     Storage{Path: "./data"},
		Auth:        auth.DefaultConfig(),
		Metadata:    db.DefaultConfig(),
		Limits:      limits.Default(),
		PII:         pii.DefaultConfig(),
		RemoteWrite: remotewrite.DefaultConfig(),
		Redis:       redis.DefaultConfig(),
		Kafka:       kafka.DefaultConfig(),
		ClickHouse:  clickhouse.DefaultConfig(),
		Retention:   retention.DefaultConfig(),
		Rollup:      rollup.DefaultConfig(),
		Query:       promql.DefaultConfig(),
		Cache:       cache.DefaultConfig(),
		StrongReads: strongread.DefaultConfig(),
		Tracing:     tracing.DefaultConfig(),
	}
}

// Load reads a YAML file over the defaults; an empty path is no file. Keys that do not exist are errors.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("cannot read the configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("cannot read the configuration %s: %w", path, err)
	}
	return c, nil
}

// Validate checks every section and returns everything that is wrong, each with its key.
func (c Config) Validate() error {
	return errors.Join(
		c.Log.Validate(),
		c.Web.Validate(),
		c.Storage.Validate(),
		c.Metadata.Validate(),
		c.Limits.Validate(),
		c.PII.Validate(),
		c.RemoteWrite.Validate(),
		c.Redis.Validate(),
		c.Kafka.Validate(),
		c.ClickHouse.Validate(),
		c.Retention.Validate(),
		c.Rollup.Validate(),
		c.checkAge(),
		c.Query.Validate(),
		c.Cache.Validate(),
		c.StrongReads.Validate(),
		c.Tracing.Validate(),
	)
}

// checkAge refuses to accept samples that are past their retention when they come.
func (c Config) checkAge() error {
	if least := c.Retention.MinRaw(); c.RemoteWrite.MaxAge > least {
		return fmt.Errorf("remote_write.max_age: %v is more than the shortest retention.raw, %v; samples would be dropped as soon as they are accepted", c.RemoteWrite.MaxAge, least)
	}
	return nil
}

// Redacted returns the configuration with its passwords replaced.
func (c Config) Redacted() Config {
	c.ClickHouse = c.ClickHouse.Redacted()
	c.Metadata = c.Metadata.Redacted()
	c.PII = c.PII.Redacted()
	if c.Redis.Password != "" {
		c.Redis.Password = "xxxxx" // as URLs have it
	}
	return c
}

// YAML returns the redacted configuration as a file, defaults filled in: what /api/v1/status/config shows.
func (c Config) YAML() string {
	out, err := yaml.Marshal(c.Redacted())
	if err != nil {
		return "# cannot show the configuration: " + err.Error()
	}
	return string(out)
}
