package testenv

import (
	"testing"

	"github.com/IBM/sarama"
)

// TestKafkaClusterLosesItsLeader appends through a cluster whose leader is killed, and finds everything.
func TestKafkaClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	c := StartKafkaCluster(t, 3)
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Retry.Max = 100
	admin, err := sarama.NewClusterAdmin(c.Addresses(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateTopic("topic", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1}, false); err != nil {
		t.Fatal(err)
	}
	admin.Close()
	c.Await()
	p, err := sarama.NewSyncProducer(c.Addresses(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for want := range int64(3) {
		if want == 1 {
			c.Leader("topic", 0).Kill()
		}
		if want == 2 {
			c.Restart()
		}
		_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: "topic", Value: sarama.StringEncoder("x")})
		if err != nil || offset < want {
			t.Fatalf("record %d has offset %d: %v", want, offset, err)
		}
	}
}
