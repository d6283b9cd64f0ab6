package kafka

import "github.com/IBM/sarama"

// Archive returns an open log, of this configuration, for reading from anywhere. It is not to be closed.
func (l *Log) Archive(cfg Config) *Archive {
	if t, ok := l.topic.(brokerTopic); ok {
		a := NewArchive(cfg, t.client, func() (sarama.Consumer, error) { return sarama.NewConsumerFromClient(t.client) })
		a.partitions = l.Partitions
		return a
	}
	t := l.topic.(embeddedTopic)
	return &Archive{cfg: cfg, partitions: l.Partitions, source: folders{cfg.Topic: t.log}}
}
