package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/IBM/sarama"
)

// Archive is the log as commands see it: its records can be read from anywhere, without a consumer group, and
// added to. Unlike a [Log] it creates no topics and no folders.
type Archive struct {
	cfg Config

	// producer appends to the topic, whose number of partitions is partitions.
	producer   sarama.SyncProducer
	partitions int

	source archiveSource

	// erased is what is left out of what is replayed; nil is nothing.
	erased *Erased
	stop   func() error // ends what keeps it fresh; nil is nothing
}

// LeaveOut makes replays leave out what was erased; nil is nothing. The list's Run has to run; stop, where not nil, is called
// by Close to end it.
func (a *Archive) LeaveOut(e *Erased, stop func() error) { a.erased, a.stop = e, stop }

// archiveSource reads the topics of a log, Kafka's or the embedded one's.
type archiveSource interface {
	// bounds returns the oldest offset of a partition and the one that the next record will have.
	bounds(topic string, partition int32) (oldest, next int64, err error)

	// offsetAt returns the offset of the first record that was written at or after the time, the next one
	// where there is none.
	offsetAt(topic string, partition int32, at time.Time) (int64, error)

	// read calls fn with the partition's records from one offset to before another, which exists.
	read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*sarama.ConsumerMessage) error) error

	close() error
}

// archiveConnectTimeout is how long a command waits for the brokers.
const archiveConnectTimeout = 30 * time.Second

// OpenArchive opens the log that the configuration names: the brokers' where there are some, else the embedded one
// in the folder dir, which no process may have open.
func OpenArchive(ctx context.Context, cfg Config, dir string, logger *slog.Logger) (*Archive, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Brokers) > 0 {
		return openBrokerArchive(ctx, cfg, logger)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("cannot open the embedded log: %w", err)
	}
	log, letters, err := openFolders(dir, cfg, logger, nil)
	if err != nil {
		return nil, err
	}
	return &Archive{
		cfg: cfg, producer: log.Producer(), partitions: log.Partitions(),
		source: folders{cfg.Topic: log, cfg.DeadLetterTopic: letters},
	}, nil
}

// NewArchive returns the archive of the log that a client reaches, for reading only. The function opens what reads. The
// client stays the caller's: there is nothing to close.
func NewArchive(cfg Config, client sarama.Client, consumer func() (sarama.Consumer, error)) *Archive {
	return &Archive{cfg: cfg, partitions: cfg.Partitions, source: brokers{client, consumer}}
}

func openBrokerArchive(ctx context.Context, cfg Config, logger *slog.Logger) (*Archive, error) {
	connecting, cancel := context.WithTimeout(ctx, archiveConnectTimeout)
	defer cancel()
	client, err := connect(connecting, cfg, logger)
	if err != nil {
		return nil, err
	}
	a := NewArchive(cfg, client, func() (sarama.Consumer, error) { return sarama.NewConsumerFromClient(client) })
	if a.partitions, err = countPartitions(client, cfg.Topic); err == nil {
		_, err = countPartitions(client, cfg.DeadLetterTopic)
	}
	if err == nil {
		a.producer, err = sarama.NewSyncProducerFromClient(client)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return a, nil
}

// Partitions returns the number of the topic's partitions.
func (a *Archive) Partitions() int { return a.partitions }

// Close closes the log.
func (a *Archive) Close() error {
	err := errors.Join(a.producer.Close(), a.source.close())
	if a.stop != nil {
		err = errors.Join(err, a.stop())
	}
	return err
}

// DeadLetterDir is the folder of the dead letters in the folder of an embedded log.
func DeadLetterDir(dir string) string { return filepath.Join(dir, "dead-letters") }
