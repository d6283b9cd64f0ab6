package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for key, spoil := range map[string]func(*Config){
		"kafka.topic":                  func(c *Config) { c.Topic = "" },
		"kafka.dead_letter_topic":      func(c *Config) { c.DeadLetterTopic = c.Topic },
		"kafka.partitions":             func(c *Config) { c.Partitions = 0 },
		"kafka.group":                  func(c *Config) { c.Group = "" },
		"kafka.instance_id":            func(c *Config) { c.InstanceID = "a b" },
		"kafka.max_record_bytes":       func(c *Config) { c.MaxRecordBytes = 10 },
		"kafka.announce_interval":      func(c *Config) { c.AnnounceInterval = time.Second },
		"kafka.max_announced_series":   func(c *Config) { c.MaxAnnouncedSeries = 1 },
		"kafka.flush_age":              func(c *Config) { c.FlushAge = 0 },
		"kafka.flush_rows":             func(c *Config) { c.FlushRows = 0 },
		"kafka.drain_timeout":          func(c *Config) { c.DrainTimeout = time.Hour },
		"kafka.embedded.segment_bytes": func(c *Config) { c.Embedded.SegmentBytes = 1 },
	} {
		c := DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestConfigFromYAML(t *testing.T) {
	c := DefaultConfig()
	text := "brokers: [a:9092, b:9092]\npartitions: 24\nflush_age: 2s\nembedded:\n  retention_age: 3h\n"
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Brokers) != 2 || c.Partitions != 24 || c.FlushAge != 2*time.Second || c.Embedded.RetentionAge != 3*time.Hour || c.Topic != DefaultConfig().Topic {
		t.Errorf("got %+v", c)
	}
}

// TestNoPromiseOfTheClientIsWeak guards the settings on which a 2xx and the offsets rely: all replicas in sync have
// a record before it counts, offsets move only where the consumer says so, and no offset is the beginning.
func TestNoPromiseOfTheClientIsWeak(t *testing.T) {
	for name, of := range map[string]func(Config) (*sarama.Config, error){"producer": saramaConfig, "consumer": groupConfig} {
		c, err := of(DefaultConfig())
		if err := errors.Join(err, c.Validate()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Producer.RequiredAcks != sarama.WaitForAll || c.Consumer.Offsets.AutoCommit.Enable || c.Consumer.Offsets.Initial != sarama.OffsetOldest {
			t.Errorf("%s: acks %d, auto-commit %t, initial offset %d", name, c.Producer.RequiredAcks, c.Consumer.Offsets.AutoCommit.Enable, c.Consumer.Offsets.Initial)
		}
	}
}
