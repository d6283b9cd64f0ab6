package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const (
	// recordOverhead is room for what stands around a record: headers, and those of a dead letter.
	recordOverhead = 100_000

	// brokerMaxBytes is what brokers accept unless told otherwise.
	brokerMaxBytes = 1 << 20
)

// saramaConfig returns how the client speaks to the brokers. README.md says why. An error is of [store.KindInvalid].
func saramaConfig(cfg Config) (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.ClientID = "metricstream"
	c.Version = sarama.V3_6_0_0

	// A broker that vanished, or that waits for others that did, must not hold a sender's request for long. These
	// limits are of one attempt; deliverTimeout is that of them all.
	c.Net.DialTimeout = 5 * time.Second
	c.Net.WriteTimeout = 8 * time.Second
	c.Net.ReadTimeout = 8 * time.Second
	c.Producer.Timeout = 4 * time.Second
	c.Producer.Retry.Max = 2

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.MaxMessageBytes = cfg.MaxRecordBytes + recordOverhead

	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	c.Consumer.Group.Rebalance.Timeout = rebalanceTimeout
	c.Consumer.Group.Session.Timeout = 30 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 3 * time.Second
	c.Consumer.Fetch.Default = 4 << 20
	c.Consumer.MaxWaitTime = 250 * time.Millisecond // a commit waits behind it, on the same connection
	c.Consumer.MaxProcessingTime = 10 * time.Second
	c.Metadata.AllowAutoTopicCreation = false
	return c, cfg.secure(c)
}

// groupConfig returns how a consumer group's client does.
func groupConfig(cfg Config) (*sarama.Config, error) {
	c, err := saramaConfig(cfg)
	c.Net.ReadTimeout = rebalanceTimeout + 10*time.Second // the answer to a join comes when all have joined
	c.Consumer.Group.InstanceId = cfg.InstanceID
	c.ChannelBufferSize = 64 // records of each partition that are read ahead
	return c, err
}

// connectWait is how long brokers that do not answer are asked again.
const connectWait = 2 * time.Second

// connect waits for a broker to answer.
func connect(ctx context.Context, cfg Config, logger *slog.Logger) (sarama.Client, error) {
	config, err := saramaConfig(cfg)
	if err != nil {
		return nil, err
	}
	for told := false; ; {
		client, err := sarama.NewClient(cfg.Brokers, config)
		if err == nil {
			return client, nil
		}
		if !told {
			logger.Warn("cannot reach Kafka yet (kafka.brokers, kafka.tls, kafka.sasl), trying again", "brokers", cfg.Brokers, "err", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot reach Kafka at %s: %w", strings.Join(cfg.Brokers, ", "), err)
		case <-time.After(connectWait):
		}
	}
}

// setUpTopics creates the topics that are missing and returns how many partitions the data has.
func setUpTopics(client sarama.Client, cfg Config, logger *slog.Logger) (int, error) {
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return 0, fmt.Errorf("cannot administer Kafka: %w", err)
	}
	if _, err := setUpTopic(client, admin, cfg, cfg.DeadLetterTopic, 1); err != nil {
		return 0, err
	}
	n, err := setUpTopic(client, admin, cfg, cfg.Topic, cfg.Partitions)
	if err != nil {
		return 0, err
	}
	if n != cfg.Partitions {
		logger.Warn("the Kafka topic has another number of partitions than configured; the topic's number is used. "+
			"To have no warning set kafka.partitions to it. Do not add partitions to the topic: a series must stay in its own; "+
			"use a new topic for another number", "topic", cfg.Topic, "partitions", n, "configured", cfg.Partitions)
	}
	return n, warnOfFewReplicas(client, cfg.Topic, logger)
}

// setUpTopic returns the number of the topic's partitions, after it created the topic if there was none.
func setUpTopic(client sarama.Client, admin sarama.ClusterAdmin, cfg Config, topic string, partitions int) (int, error) {
	n, err := countPartitions(client, topic)
	if err == nil || !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return n, err
	}
	replicas, inSync := replication(client)
	least := strconv.Itoa(inSync)
	detail := &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: int16(replicas),
		ConfigEntries: map[string]*string{"min.insync.replicas": &least},
	}
	if limit := cfg.MaxRecordBytes + recordOverhead; limit > brokerMaxBytes {
		value := strconv.Itoa(limit)
		detail.ConfigEntries["max.message.bytes"] = &value
	}
	err = admin.CreateTopic(topic, detail, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return 0, fmt.Errorf("cannot create Kafka topic %s with %d partitions and replication factor %d: %w",
			topic, partitions, detail.ReplicationFactor, err)
	}
	for range 50 { // the new topic reaches all brokers a little later
		if n, err = countPartitions(client, topic); err == nil {
			return n, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return 0, err
}

func countPartitions(client sarama.Client, topic string) (int, error) {
	err := client.RefreshMetadata(topic)
	var ps []int32
	if err == nil {
		ps, err = client.Partitions(topic)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot look up Kafka topic %s: %w", topic, err)
	}
	return len(ps), nil
}
