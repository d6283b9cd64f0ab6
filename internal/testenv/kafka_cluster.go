package testenv

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// KafkaCluster is several brokers, each of which is a controller too.
type KafkaCluster struct {
	Brokers []*Kafka

	t testing.TB
}

// StartKafkaCluster starts brokers with empty data, which keep everything as often as there are of them and take a
// write when more than half of them have it. They are killed when the test ends. Each takes some 360 MB.
func StartKafkaCluster(t testing.TB, brokers int) *KafkaCluster {
	t.Helper()
	c := &KafkaCluster{t: t}
	var quorum []string
	for range brokers {
		quorum = append(quorum, FreeAddress(t))
	}
	for i := range brokers {
		k := newKafka(t, i+1, quorum, FreeAddress(t))
		k.format()
		c.Brokers = append(c.Brokers, k)
	}
	for _, k := range c.Brokers {
		k.launch()
	}
	c.Await()
	return c
}

// Addresses returns where the brokers are.
func (c *KafkaCluster) Addresses() []string {
	var addresses []string
	for _, k := range c.Brokers {
		addresses = append(addresses, k.Address)
	}
	return addresses
}

// Restart starts the brokers that do not run, and returns when all are there.
func (c *KafkaCluster) Restart() {
	c.t.Helper()
	for _, k := range c.Brokers {
		if k.cmd == nil {
			k.launch()
		}
	}
	c.Await()
}

// Await returns when every broker is registered with the cluster.
func (c *KafkaCluster) Await() {
	c.t.Helper()
	for _, k := range c.Brokers {
		if err := k.wait(); err != nil {
			c.t.Fatalf("Kafka %d did not start: %v\n%s", k.id, err, tail(k.path("kafka.log")))
		}
	}
	err := fmt.Errorf("nobody was asked")
	for deadline := time.Now().Add(kafkaStartTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = c.complete(); err == nil {
			return
		}
	}
	c.t.Fatalf("Kafka's brokers do not come together: %v", err)
}

// complete reports whether all brokers are there and every partition of every topic has all its replicas in step.
func (c *KafkaCluster) complete() error {
	client, err := sarama.NewClient(c.Addresses(), nil)
	if err != nil {
		return err
	}
	defer client.Close()
	if n := len(client.Brokers()); n != len(c.Brokers) {
		return fmt.Errorf("%d of %d are registered", n, len(c.Brokers))
	}
	topics, err := client.Topics()
	if err != nil {
		return err
	}
	for _, topic := range topics {
		partitions, err := client.Partitions(topic)
		if err != nil {
			return err
		}
		for _, p := range partitions {
			all, err := client.Replicas(topic, p)
			if err != nil {
				return err
			}
			inSync, err := client.InSyncReplicas(topic, p)
			if err != nil || len(inSync) < len(all) {
				return fmt.Errorf("partition %d of %s has %d of %d replicas in step: %v", p, topic, len(inSync), len(all), err)
			}
		}
	}
	return nil
}

// Leader returns the broker that leads a partition, nil where there is none at the moment.
func (c *KafkaCluster) Leader(topic string, partition int32) *Kafka {
	c.t.Helper()
	client, err := sarama.NewClient(c.Addresses(), nil)
	if err != nil {
		c.t.Fatalf("cannot reach Kafka: %v", err)
	}
	defer client.Close()
	leader, err := client.Leader(topic, partition)
	if err != nil {
		return nil
	}
	for _, k := range c.Brokers {
		if k.Address == leader.Addr() {
			return k
		}
	}
	return nil
}
