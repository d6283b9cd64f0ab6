package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/embedded"
)

// Ends are where a topic ends.
type Ends struct {
	Generation string

	// Next is, for each partition, the offset that its next record will have.
	Next map[int32]int64
}

// Ends returns where the topic ends now: every record that was acknowledged before the call is before it.
func (l *Log) Ends(ctx context.Context) (Ends, error) { return l.topic.Ends(ctx) }

// topic is what a [Log] knows of its topic.
type topic interface {
	TopicReader
	Ends(ctx context.Context) (Ends, error)
}

func (t brokerTopic) Ends(ctx context.Context) (Ends, error) {
	return await(ctx, "look up where Kafka topic "+t.cfg.Topic+" ends", t.ends)
}

func (t brokerTopic) ends() (Ends, error) {
	ends, err := t.askEnds()
	if err == nil {
		return ends, nil
	}
	// The leaders may have changed since the client learned them.
	if refreshed := t.client.RefreshMetadata(t.cfg.Topic); refreshed != nil {
		return Ends{}, err
	}
	return t.askEnds()
}

func (t brokerTopic) askEnds() (Ends, error) {
	m, err := t.describe()
	if err != nil {
		return Ends{}, err
	}
	asked := make(map[int32]int64, len(m.Partitions))
	for _, p := range m.Partitions {
		asked[p.ID] = sarama.OffsetNewest
	}
	admin, err := sarama.NewClusterAdminFromClient(t.client)
	if err != nil {
		return Ends{}, fmt.Errorf("cannot look up where Kafka topic %s ends: %w", t.cfg.Topic, err)
	}
	answers, err := admin.ListOffsets(map[string]map[int32]int64{t.cfg.Topic: asked}, nil)
	if err != nil {
		return Ends{}, fmt.Errorf("cannot look up where Kafka topic %s ends: %w", t.cfg.Topic, err)
	}
	ends := Ends{Generation: generationOf(m), Next: make(map[int32]int64, len(asked))}
	for p := range asked {
		a := answers[t.cfg.Topic][p]
		if a == nil {
			return Ends{}, fmt.Errorf("cannot look up where partition %d of Kafka topic %s ends: %w", p, t.cfg.Topic, sarama.ErrIncompleteResponse)
		}
		if a.Err != nil && !errors.Is(a.Err, sarama.ErrNoError) {
			return Ends{}, fmt.Errorf("cannot look up where partition %d of Kafka topic %s ends: %w", p, t.cfg.Topic, a.Err)
		}
		ends.Next[p] = a.Offset
	}
	return ends, nil
}

// embeddedTopic is the topic of an embedded log.
type embeddedTopic struct{ log *embedded.Log }

func (t embeddedTopic) Generation(context.Context) (string, error) { return t.log.Generation(), nil }

// CommittedIn says nothing: committed offsets are in the log's folder, so that they are of its generation.
func (t embeddedTopic) CommittedIn(context.Context) (map[int32]string, error) { return nil, nil }

func (t embeddedTopic) Ends(context.Context) (Ends, error) {
	ends := Ends{Generation: t.log.Generation(), Next: make(map[int32]int64, t.log.Partitions())}
	for p := range int32(t.log.Partitions()) {
		_, ends.Next[p] = t.log.Bounds(p)
	}
	return ends, nil
}
