package kafka

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/prometheus/common/config"

	"github.com/metricstream/metricstream/kafka/embedded"
)

// Config is the configuration of the log, of what is written to it and of how it is read.
type Config struct {
	// Brokers are the addresses of a Kafka cluster's brokers. Without any the log is embedded.
	Brokers []string `yaml:"brokers"`

	// TLS, where it is there, even empty, makes the connections to the brokers encrypted. SASL names the client.
	TLS  *config.TLSConfig `yaml:"tls,omitempty"`
	SASL *SASL             `yaml:"sasl,omitempty"`

	// Topic holds the records. Records that cannot be read go to DeadLetterTopic.
	Topic           string `yaml:"topic"`
	DeadLetterTopic string `yaml:"dead_letter_topic"`

	// Partitions is the number of partitions that a new topic gets. A series stays in its partition for
	// ever, so the number of an existing topic is not changed.
	Partitions int `yaml:"partitions"`

	// Group is the consumer group. All consumers of one ClickHouse have the same.
	Group string `yaml:"group"`

	// InstanceID, where not empty, names this consumer in its group over restarts: it comes back to the same
	// partitions at once. Each consumer needs another one. When it stays away its partitions wait for 30 s.
	InstanceID string `yaml:"instance_id"`

	// MaxRecordBytes is the size above which a record is split. Brokers accept 1 MB unless told otherwise.
	MaxRecordBytes int `yaml:"max_record_bytes"`

	// AnnounceInterval is how long a label set that was sent is not sent again.
	AnnounceInterval time.Duration `yaml:"announce_interval"`

	// MaxAnnouncedSeries bounds the memory of which label sets were sent, some 60 bytes each.
	MaxAnnouncedSeries int `yaml:"max_announced_series"`

	// FlushAge and FlushRows say when a consumer writes what it collected: when the oldest row is this
	// old, or when there are this many. Two such batches can be in memory.
	FlushAge  time.Duration `yaml:"flush_age"`
	FlushRows int           `yaml:"flush_rows"`

	// DrainTimeout is how long a consumer that ends waits for its last rows to be written. What is not
	// written by then is read again by the next consumer.
	DrainTimeout time.Duration `yaml:"drain_timeout"`

	// Embedded is the log on the local disk.
	Embedded embedded.Config `yaml:"embedded"`
}

// DefaultConfig returns the default configuration: the embedded log.
func DefaultConfig() Config {
	return Config{
		Topic:              "metricstream",
		DeadLetterTopic:    "metricstream-dead-letters",
		Partitions:         12,
		Group:              "metricstream",
		MaxRecordBytes:     900_000,
		AnnounceInterval:   time.Hour,
		MaxAnnouncedSeries: 5_000_000,
		FlushAge:           time.Second,
		FlushRows:          1_000_000,
		DrainTimeout:       20 * time.Second,
		Embedded:           embedded.DefaultConfig(),
	}
}

// instanceID is what Kafka accepts.
var instanceID = regexp.MustCompile(`^[A-Za-z0-9._-]{0,249}$`)

// Validate checks the configuration.
func (c Config) Validate() error {
	checks := []struct {
		bad     bool
		message string
	}{
		{c.Topic == "", "kafka.topic is empty; set it to the topic's name"},
		{c.DeadLetterTopic == "" || c.DeadLetterTopic == c.Topic, "kafka.dead_letter_topic must name a topic other than kafka.topic"},
		{c.Partitions < 1 || c.Partitions > 10_000, fmt.Sprintf("kafka.partitions: %d is not between 1 and 10000", c.Partitions)},
		{c.Group == "", "kafka.group is empty; set it to the consumer group's name"},
		{!instanceID.MatchString(c.InstanceID), fmt.Sprintf("kafka.instance_id: %.100q is not of at most 249 letters, digits, dots, underscores and hyphens", c.InstanceID)},
		{c.MaxRecordBytes < 1_000 || c.MaxRecordBytes > 64<<20, fmt.Sprintf("kafka.max_record_bytes: %d is not between 1000 and 67108864", c.MaxRecordBytes)},
		{c.AnnounceInterval < time.Minute, fmt.Sprintf("kafka.announce_interval: %v is less than 1m", c.AnnounceInterval)},
		{c.MaxAnnouncedSeries < 1_000, fmt.Sprintf("kafka.max_announced_series: %d is less than 1000", c.MaxAnnouncedSeries)},
		{c.FlushAge < time.Millisecond || c.FlushAge > time.Minute, fmt.Sprintf("kafka.flush_age: %v is not between 1ms and 1m", c.FlushAge)},
		{c.FlushRows < 1 || c.FlushRows > 100_000_000, fmt.Sprintf("kafka.flush_rows: %d is not between 1 and 100000000", c.FlushRows)},
		{c.DrainTimeout < 0 || c.DrainTimeout >= rebalanceTimeout, fmt.Sprintf("kafka.drain_timeout: %v is not between 0s and %v", c.DrainTimeout, rebalanceTimeout)},
	}
	var errs []error
	for _, check := range checks {
		if check.bad {
			errs = append(errs, errors.New(check.message))
		}
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("kafka.brokers: %q is not host:port, such as kafka-1:9092", b))
		}
	}
	errs = append(errs, c.SASL.validate())
	if err := c.Embedded.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("kafka.embedded.%w", err))
	}
	return errors.Join(errs...)
}
