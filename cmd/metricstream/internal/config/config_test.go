package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadKeepsDefaults(t *testing.T) {
	c, err := Load(write(t, "query: {timeout: 10s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Query.Timeout.Seconds() != 10 || c.Query.MaxSeries != Default().Query.MaxSeries {
		t.Errorf("got %+v", c.Query)
	}
}

func TestLoadOfAnEmptyFile(t *testing.T) {
	if _, err := Load(write(t, "")); err != nil {
		t.Error(err)
	}
}

// TestEverySectionIsChecked breaks one key of each section and wants its full name in the message.
func TestEverySectionIsChecked(t *testing.T) {
	for text, key := range map[string]string{
		"log: {level: loud}":                     "log.level",
		"log: {format: xml}":                     "log.format",
		"web: {listen_address: nowhere}":         "web.listen_address",
		"storage: {path: ''}":                    "storage.path",
		"remote_write: {max_body_bytes: 0}":      "remote_write.max_body_bytes",
		"limits: {active_series: -1}":            "limits.active_series",
		"limits: {samples_burst: 5}":             "limits.samples_per_second",
		"pii: {hash_secret: short}":              "pii.hash_secret",
		"pii: {detectors: {email: hide}}":        "pii.detectors.email",
		"pii: {detectors: {mail: mask}}":         "pii.detectors",
		"pii: {patterns: [{name: '!'}]}":         "pii.patterns",
		"redis: {address: nowhere}":              "redis.address",
		"remote_write: {ha: {max_clusters: 0}}":  "remote_write.ha.max_clusters",
		"kafka: {partitions: 0}":                 "kafka.partitions",
		"kafka: {brokers: [nohost]}":             "kafka.brokers",
		"kafka: {embedded: {segment_bytes: -1}}": "kafka.embedded.segment_bytes",
		"clickhouse: {dsn: 'mysql://h'}":         "clickhouse.dsn",
		"clickhouse: {dsn: 'http://h:8123'}":     "clickhouse.dsn",
		"clickhouse: {max_connections: 0}":       "clickhouse.max_connections",
		"query: {max_samples: 0}":                "query.max_samples",
		"query: {cors_origin: '('}":              "query.cors_origin",
	} {
		c, err := Load(write(t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v, want an error that names %s", text, err, key)
		}
	}
}

func TestUnknownKeyIsRefused(t *testing.T) {
	_, err := Load(write(t, "web: {listen_adress: ':1'}"))
	if err == nil || !strings.Contains(err.Error(), "listen_adress") {
		t.Errorf("got %v", err)
	}
}

func TestYAMLHidesPasswordsAndLoadsAgain(t *testing.T) {
	for _, dsn := range []string{
		"clickhouse://me:s3cret@host:9000/db",
		"clickhouse://host:9000/db?username=me&password=s3cret",
		"clickhouse://me:s3cret@[fd00::1]:9000,[fd00::2]:9000/db",
		"clickhouse://host/db?password=s3cret&dial_timeout=%",
	} {
		c := Default()
		c.ClickHouse.DSN = dsn
		c.Metadata.DSN = "postgres://host/db?user=me&password=s3cret"
		c.Redis.Password = "s3cret"
		text := c.YAML()
		if strings.Contains(text, "s3cret") {
			t.Errorf("the password is in\n%s", text)
		}
		again := Default()
		if err := yaml.Unmarshal([]byte(text), &again); err != nil {
			t.Error(err)
		}
	}
}
