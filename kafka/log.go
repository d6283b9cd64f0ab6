// Package kafka owns the way through the log: [Producer], a store.Writer that makes batches records of a topic,
// and [Consumer], which reads the records and drives another store.Writer. The log is Apache Kafka or the
// embedded one; both are behind sarama's interfaces. What a record's bytes mean is left to package record, and
// where its rows go to the writer.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/kafka/embedded"
)

// rebalanceTimeout is how long Kafka waits for a consumer to give up a partition.
const rebalanceTimeout = time.Minute

// Log is an open log, Kafka or embedded.
type Log struct {
	// Producer appends to the topic. A message must name its partition.
	Producer sarama.SyncProducer

	// DeadLetter appends to the dead-letter topic.
	DeadLetter sarama.SyncProducer

	// Partitions is the number of the topic's partitions. It may differ from the configured one.
	Partitions int

	topic topic
	group func() (sarama.ConsumerGroup, error)
	ping  func() error
	close func() error
}

// Ping reports whether the log can take records: whether every partition of the topic has a broker that answers.
// The embedded log always can, until a write shows that its disk cannot.
func (l *Log) Ping(ctx context.Context) error {
	_, err := await(ctx, "reach the log", func() (struct{}, error) { return struct{}{}, l.ping() })
	return err
}

// Group returns a new member of the configured consumer group. Close it before the log.
func (l *Log) Group() (sarama.ConsumerGroup, error) { return l.group() }

// Close closes the producers and what is behind them.
func (l *Log) Close() error { return l.close() }

// Open opens the log that the configuration names: the brokers' where there are some, else the embedded one in
// the folder dir.
func Open(ctx context.Context, cfg Config, dir string, logger *slog.Logger, r prometheus.Registerer) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Brokers) > 0 {
		return OpenBrokers(ctx, cfg, logger)
	}
	return OpenEmbedded(dir, cfg, logger, r)
}

// OpenEmbedded opens the embedded log in a folder. Dead letters are a log of their own in it.
func OpenEmbedded(dir string, cfg Config, logger *slog.Logger, r prometheus.Registerer) (*Log, error) {
	log, dead, err := openFolders(dir, cfg, logger, r)
	if err != nil {
		return nil, err
	}
	return &Log{
		Producer:   log.Producer(),
		DeadLetter: dead.Producer(),
		Partitions: log.Partitions(),
		topic:      embeddedTopic{log},
		group:      func() (sarama.ConsumerGroup, error) { return log.ConsumerGroup(cfg.Group), nil },
		ping:       func() error { return nil },
		close:      func() error { return errors.Join(dead.Close(), log.Close()) },
	}, nil
}

// LetterAge is how long the embedded log keeps dead letters. How long Kafka does is a matter of the topic.
const LetterAge = 30 * 24 * time.Hour

// openFolders opens the log in a folder, and that of the dead letters.
func openFolders(dir string, cfg Config, logger *slog.Logger, r prometheus.Registerer) (log, dead *embedded.Log, err error) {
	log, err = embedded.Open(dir, cfg.Embedded, embedded.Options{
		Topic: cfg.Topic, Partitions: cfg.Partitions, Logger: logger, Registerer: r,
	})
	if err != nil {
		return nil, nil, err
	}
	letters := embedded.Config{
		SegmentBytes: 16 << 20, RetentionAge: LetterAge, MaxBytes: 1 << 30, SkipCorrupt: cfg.Embedded.SkipCorrupt,
	}
	dead, err = embedded.Open(DeadLetterDir(dir), letters, embedded.Options{
		Topic: cfg.DeadLetterTopic, Partitions: 1, Unconsumed: true, Logger: logger, Registerer: r,
	})
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return log, dead, nil
}

// OpenBrokers connects to Kafka and creates the topics where they are missing.
func OpenBrokers(ctx context.Context, cfg Config, logger *slog.Logger) (*Log, error) {
	client, err := connect(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	partitions, err := setUpTopics(client, cfg, logger)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot create Kafka producer: %w", err), client.Close())
	}
	return &Log{
		Producer:   producer,
		DeadLetter: producer,
		Partitions: partitions,
		topic:      brokerTopic{client, cfg},
		group: func() (sarama.ConsumerGroup, error) {
			config, err := groupConfig(cfg)
			if err != nil {
				return nil, err
			}
			g, err := sarama.NewConsumerGroup(cfg.Brokers, cfg.Group, config)
			if err != nil {
				return nil, fmt.Errorf("cannot create Kafka consumer group %s: %w", cfg.Group, err)
			}
			return g, nil
		},
		ping:  func() error { return client.RefreshMetadata(cfg.Topic) },
		close: func() error { return errors.Join(producer.Close(), client.Close()) },
	}, nil
}
