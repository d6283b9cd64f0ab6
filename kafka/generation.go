package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A generation tells a topic from another of the same name before it: when a topic is deleted and created again,
// its offsets begin anew and have nothing to do with the former ones. It is Kafka's topic id, or a random id in the
// folder of an embedded log; empty where brokers know no topic ids.

// generationAge is how long a generation is believed without asking again.
const generationAge = 5 * time.Second

// TopicReader tells which generation of the topic is there. A [Log] is one.
type TopicReader interface {
	Generation(ctx context.Context) (string, error)
}

// Generation returns the topic's generation, asked anew.
func (l *Log) Generation(ctx context.Context) (string, error) { return l.topic.Generation(ctx) }

// await returns what f does, or ctx's error where that ends first: sarama knows no context, its own time limits end
// what it does then.
func await[T any](ctx context.Context, what string, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := f()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("cannot %s: %w", what, ctx.Err())
	}
}

// brokerTopic is a topic of a Kafka cluster.
type brokerTopic struct {
	client sarama.Client
	cfg    Config
}

// describe asks a broker for the topic.
func (t brokerTopic) describe() (*sarama.TopicMetadata, error) {
	admin, err := sarama.NewClusterAdminFromClient(t.client) // closing it would close the client
	if err != nil {
		return nil, fmt.Errorf("cannot look up Kafka topic %s: %w", t.cfg.Topic, err)
	}
	topics, err := admin.DescribeTopics([]string{t.cfg.Topic})
	switch {
	case err != nil:
	case len(topics) != 1:
		err = sarama.ErrIncompleteResponse
	case !errors.Is(topics[0].Err, sarama.ErrNoError):
		err = topics[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look up Kafka topic %s: %w", t.cfg.Topic, err)
	}
	return topics[0], nil
}

// generationOf returns the generation of a topic.
func generationOf(m *sarama.TopicMetadata) string {
	if m.Uuid == (sarama.Uuid{}) {
		return ""
	}
	return m.Uuid.String()
}

func (t brokerTopic) Generation(ctx context.Context) (string, error) {
	return await(ctx, "look up Kafka topic "+t.cfg.Topic, func() (string, error) {
		m, err := t.describe()
		if err != nil {
			return "", err
		}
		return generationOf(m), nil
	})
}

// currentGeneration remembers a topic's generation for a while. Its methods may be called from several goroutines
// at once; when it is time to ask again one of them does, and the others go on with what is known.
type currentGeneration struct {
	topic TopicReader // nil: there are no generations

	mu     sync.Mutex
	known  string
	at     time.Time
	asking bool
}

// get returns the generation, empty while it is not known, and whether it is another than was known.
func (g *currentGeneration) get(ctx context.Context, now time.Time) (generation string, changed bool) {
	if g.topic == nil {
		return "", false
	}
	g.mu.Lock()
	if now.Sub(g.at) < generationAge || g.asking && g.known != "" {
		defer g.mu.Unlock()
		return g.known, false
	}
	g.asking = true
	g.mu.Unlock()
	asked, err := g.topic.Generation(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking = false
	if err != nil {
		return g.known, false // whoever uses the log meets the fault too
	}
	changed = g.known != asked // from unknown too: what was written meanwhile may be in another topic
	g.known, g.at = asked, now
	return asked, changed
}
