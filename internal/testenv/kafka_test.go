package testenv

import (
	"testing"

	"github.com/IBM/sarama"
)

func TestKafkaKeepsItsDataOverKillAndRestart(t *testing.T) {
	t.Parallel()
	k := StartKafka(t)
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	admin, err := sarama.NewClusterAdmin([]string{k.Address}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateTopic("topic", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	admin.Close()
	send := func() int64 {
		p, err := sarama.NewSyncProducer([]string{k.Address}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: "topic", Value: sarama.StringEncoder("x")})
		if err != nil {
			t.Fatal(err)
		}
		return offset
	}
	if got := send(); got != 0 {
		t.Errorf("first record has offset %d", got)
	}
	k.Kill()
	k.Restart()
	if got := send(); got != 1 {
		t.Errorf("first record after a kill has offset %d, want 1", got)
	}
	k.Stop()
	k.Restart()
	if got := send(); got != 2 {
		t.Errorf("first record after a stop has offset %d, want 2", got)
	}
}
