package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/kafka/embedded"
)

// Ends are where a topic ends.
type Ends struct {
	Generation string

	// Next is, for each partition that has records, the offset that its next one will have. A partition whose
	// records have all left by retention has none.
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
	for attempt := 1; ; attempt++ {
		ends, err := t.askEnds()
		if err == nil || attempt == endsAttempts {
			return ends, err
		}
		// The leaders may have changed since the client learned them, or a new topic has none yet.
		if t.client.RefreshMetadata(t.cfg.Topic) != nil {
			return Ends{}, err
		}
		time.Sleep(endsPause)
	}
}

// endsAttempts and endsPause are how often, and after what time, brokers that answer are asked again.
const (
	endsAttempts = 10
	endsPause    = 100 * time.Millisecond
)

func (t brokerTopic) askEnds() (Ends, error) {
	m, err := t.describe()
	if err != nil {
		return Ends{}, err
	}
	oldest, err := t.offsets(m, sarama.OffsetOldest)
	if err != nil {
		return Ends{}, err
	}
	next, err := t.offsets(m, sarama.OffsetNewest)
	if err != nil {
		return Ends{}, err
	}
	maps.DeleteFunc(next, func(p int32, at int64) bool { return at <= oldest[p] })
	return Ends{Generation: generationOf(m), Next: next}, nil
}

// offsets returns the offset of a position in all partitions.
func (t brokerTopic) offsets(m *sarama.TopicMetadata, position int64) (map[int32]int64, error) {
	asked := make(map[int32]int64, len(m.Partitions))
	for _, p := range m.Partitions {
		asked[p.ID] = position
	}
	admin, err := sarama.NewClusterAdminFromClient(t.client)
	if err != nil {
		return nil, fmt.Errorf("cannot look up where Kafka topic %s ends: %w", t.cfg.Topic, err)
	}
	answers, err := admin.ListOffsets(map[string]map[int32]int64{t.cfg.Topic: asked}, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot look up where Kafka topic %s ends: %w", t.cfg.Topic, err)
	}
	at := make(map[int32]int64, len(asked))
	for p := range asked {
		answer := answers[t.cfg.Topic][p]
		if answer == nil {
			return nil, fmt.Errorf("cannot look up where partition %d of Kafka topic %s ends: %w", p, t.cfg.Topic, sarama.ErrIncompleteResponse)
		}
		if answer.Err != nil && !errors.Is(answer.Err, sarama.ErrNoError) {
			return nil, fmt.Errorf("cannot look up where partition %d of Kafka topic %s ends: %w", p, t.cfg.Topic, answer.Err)
		}
		at[p] = answer.Offset
	}
	return at, nil
}

// Tail knows where a Kafka topic ends, and nothing else of it. It connects when it is first asked, so that whoever has
// one can start and work while Kafka is away.
type Tail struct {
	cfg Config

	mu     sync.Mutex
	client sarama.Client // nil: not connected yet
}

// NewTail returns the end of the configured topic, for a configuration with brokers.
func NewTail(cfg Config) *Tail { return &Tail{cfg: cfg} }

// Ends is that of [Log.Ends].
func (t *Tail) Ends(ctx context.Context) (Ends, error) {
	return await(ctx, "look up where Kafka topic "+t.cfg.Topic+" ends", func() (Ends, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.client == nil {
			config, err := saramaConfig(t.cfg)
			if err != nil {
				return Ends{}, err
			}
			client, err := sarama.NewClient(t.cfg.Brokers, config)
			if err != nil {
				return Ends{}, fmt.Errorf("cannot reach Kafka at %s: %w", strings.Join(t.cfg.Brokers, ", "), err)
			}
			t.client = client
		}
		return brokerTopic{t.client, t.cfg}.ends()
	})
}

// Close ends the connections.
func (t *Tail) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return nil
	}
	err := t.client.Close()
	t.client = nil
	return err
}

// embeddedTopic is the topic of an embedded log.
type embeddedTopic struct{ log *embedded.Log }

func (t embeddedTopic) Generation(context.Context) (string, error) { return t.log.Generation(), nil }

func (t embeddedTopic) Ends(context.Context) (Ends, error) {
	ends := Ends{Generation: t.log.Generation(), Next: make(map[int32]int64, t.log.Partitions())}
	for p := range int32(t.log.Partitions()) {
		if oldest, next := t.log.Bounds(p); next > oldest {
			ends.Next[p] = next
		}
	}
	return ends, nil
}
