package chaos

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
)

// topic is that of a default configuration.
const topic = "metricstream"

// TestKafkaCluster kills one and two of three brokers, which are the controllers too, under load.
func TestKafkaCluster(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafkaCluster(t, 3)
	c := startClusterOn(t, kafka.Addresses(), ownDatabase(t, testenv.StartEngine(t)))
	c.checkTopic(t)
	var table table
	defer table.print(t, "three Kafka brokers")
	begin := time.Now()
	for round := 0; round == 0 || time.Since(begin) < *atLeast && !t.Failed(); round++ {
		c.killBrokers(t, kafka, round, &table)
	}
}

// killBrokers kills leaders of partitions, one at a time, and then two brokers at once.
func (c *cluster) killBrokers(t *testing.T, kafka *testenv.KafkaCluster, round int, table *table) {
	t.Helper()
	const one, two = "the leader of a partition", "two of three brokers"
	l := startLoad(t, c.receiver.address, label(one, round))
	for range 1 + min(round, 2) {
		p := int32(round % partitions)
		c.receiver.awaitLoad(t, l)
		leader := kafka.Leader(topic, p)
		if leader == nil {
			t.Fatalf("partition %d has no leader", p)
		}
		leader.Kill()
		table.row(one).kills++
		begin := time.Now()
		c.receiver.awaitLoad(t, l)
		t.Logf("writes went on %v after the leader of partition %d was killed", time.Since(begin).Round(100*time.Millisecond), p)
		kafka.Restart()
	}
	l.mark(label(two, round))
	c.receiver.awaitLoad(t, l)
	for i := range 2 {
		kafka.Brokers[(round+i)%len(kafka.Brokers)].Kill()
		table.row(two).kills++
	}
	c.awaitRefusal(t)
	kafka.Restart()
	c.receiver.awaitLoad(t, l)
	c.finish(t, l, table)
}

// awaitRefusal waits until the receiver answers 503, and soon enough for a sender to hear it.
func (c *cluster) awaitRefusal(t *testing.T) {
	t.Helper()
	sender := http.Client{Timeout: 30 * time.Second} // as a Prometheus has by default
	eventually(t, "the receiver refuses what it cannot keep safe", func() error {
		begin := time.Now()
		resp, err := sender.Do(probe(t, c.receiver.url(), 1))
		if err != nil {
			t.Fatalf("the receiver does not answer without a majority of the brokers: %v", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		t.Logf("503 after %v, with Retry-After: %s", time.Since(begin).Round(100*time.Millisecond), resp.Header.Get("Retry-After"))
		return nil
	})
}

// checkTopic checks that the topic was made so that an acknowledged record survives any one broker.
func (c *cluster) checkTopic(t *testing.T) {
	t.Helper()
	admin := c.admin(t)
	defer admin.Close()
	for _, name := range []string{topic, "metricstream-dead-letters"} {
		topics, err := admin.DescribeTopics([]string{name})
		if err != nil || len(topics) != 1 || len(topics[0].Partitions) == 0 {
			t.Fatalf("cannot describe topic %s: %v %v", name, topics, err)
		}
		for _, p := range topics[0].Partitions {
			if len(p.Replicas) != 3 {
				t.Errorf("partition %d of %s has %d replicas", p.ID, name, len(p.Replicas))
			}
		}
		config, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"min.insync.replicas"}})
		if err != nil || len(config) != 1 || config[0].Value != "2" {
			t.Errorf("min.insync.replicas of %s: %+v, %v", name, config, err)
		}
	}
}
