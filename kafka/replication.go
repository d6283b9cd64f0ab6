package kafka

import (
	"fmt"
	"log/slog"

	"github.com/IBM/sarama"
)

// wantedReplicas is how many brokers keep each record, where there are as many.
const wantedReplicas = 3

// replication returns how a new topic is kept: by three brokers, or by all where there are fewer, so that a record
// that is acknowledged is on two at least. Neither is left to the brokers: unless told otherwise they keep one copy
// and take a write that only one of them has.
func replication(client sarama.Client) (replicas, inSync int) {
	replicas = min(wantedReplicas, len(client.Brokers()))
	return replicas, min(2, replicas)
}

// warnOfFewReplicas says where a topic that was there already is kept by fewer brokers than it could be.
func warnOfFewReplicas(client sarama.Client, topic string, logger *slog.Logger) error {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return fmt.Errorf("cannot look up Kafka topic %s: %w", topic, err)
	}
	could, _ := replication(client)
	for _, p := range partitions {
		replicas, err := client.Replicas(topic, p)
		if err != nil {
			return fmt.Errorf("cannot look up the replicas of partition %d of Kafka topic %s: %w", p, topic, err)
		}
		if len(replicas) < could {
			logger.Warn("a Kafka topic is kept by fewer brokers than it could be: what was acknowledged is lost with them. "+
				"Reassign its partitions to more brokers and set its min.insync.replicas to 2",
				"topic", topic, "partition", p, "replicas", len(replicas), "possible", could)
			return nil
		}
	}
	return nil
}
