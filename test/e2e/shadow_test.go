package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
)

// stamped is a producer of records that were written at some time.
type stamped struct {
	sarama.SyncProducer
	at time.Time
}

func (p stamped) SendMessages(ms []*sarama.ProducerMessage) error {
	for _, m := range ms {
		m.Timestamp = p.at
	}
	return p.SyncProducer.SendMessages(ms)
}

// beginLog writes a record into each partition of a topic at some time, and waits for nobody.
func beginLog(t *testing.T, address, topic string, at time.Time) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topic = []string{address}, topic
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log, err := kafka.OpenBrokers(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	b := &store.Batch{}
	for i := range 50 * log.Partitions {
		ls := labels.FromStrings("__name__", "begin", "i", fmt.Sprint(i))
		k := store.KeyOf("anonymous", ls)
		b.Series = append(b.Series, store.Series{Tenant: "anonymous", Key: k, Labels: ls, MinMs: at.UnixMilli(), MaxMs: at.UnixMilli()})
		b.Samples.Append(k, at.UnixMilli(), store.Decimal{Mant: 1})
	}
	p := kafka.NewProducer(cfg, stamped{log.Producer, at}, kafka.ProducerOptions{Partitions: log.Partitions})
	eventually(t, time.Minute, "the log to take a record", func() error { return p.Write(ctx, b) })
}

// TestShadowSwapUnderLoad replaces a day again and again while a receiver takes samples of it and a consumer writes
// them: none is lost.
func TestShadowSwapUnderLoad(t *testing.T) {
	t.Parallel()
	broker := testenv.StartKafka(t)
	const topic = "shadowed"
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	beginLog(t, broker.Address, topic, day.Add(-48*time.Hour))
	shared := []string{"--kafka.brokers=" + broker.Address, "--kafka.topic=" + topic, "--clickhouse.dsn=" + clickhouse(t)}
	receiver := start(t, "receiver", t.TempDir(), shared...)
	start(t, "consumer", t.TempDir(), shared...)
	querier := start(t, "querier", t.TempDir(), shared...)

	noon := day.Add(12 * time.Hour).UnixMilli()
	stop, stopped := make(chan struct{}), make(chan int64)
	go func() {
		written := int64(0)
		defer func() { stopped <- written }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			switch code := postSamples(receiver.url, "", noon+written, 1, 10, map[string]string{"__name__": "loaded"}); code {
			case http.StatusNoContent:
				written++
			case http.StatusServiceUnavailable: // the broker is slow; senders try again
				time.Sleep(100 * time.Millisecond)
			default:
				t.Errorf("write answered %d", code)
				return
			}
		}
	}()
	date := day.Format(time.DateOnly)
	command(t, true, append([]string{"replay", "--shadow"}, shared...), "The shadow, database")
	eventually(t, time.Minute, "samples of the day", func() error { return count(querier.url, "loaded", noon+1000, 10) })
	command(t, true, append([]string{"replay", "--shadow"}, shared...), "The shadow, database")
	for range 4 {
		command(t, true, append([]string{"shadow", "swap", "--day=" + date, "--live-only=remove"}, shared...), date+": replaced")
	}
	close(stop)
	written := <-stopped
	eventually(t, time.Minute, fmt.Sprintf("%d samples of each series", written), func() error {
		return count(querier.url, fmt.Sprintf("count_over_time(loaded[1h]) == %d", written), noon+time.Hour.Milliseconds()-1, 10)
	})
	command(t, true, append([]string{"shadow", "diff", "--examples=0"}, shared...), date+"  samples")
	command(t, true, append([]string{"shadow", "drop"}, shared...), "dropped")
}

// TestShadowOfTheEmbeddedLog goes the whole way with an embedded log and an embedded engine. The log began today, so
// nothing may be removed.
func TestShadowOfTheEmbeddedLog(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	now := time.Now().UnixMilli()
	if code := postSamples(n.url, "", now, 1, 5, map[string]string{"__name__": "shadowed"}); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	n.Interrupt()
	storage := "--storage.path=" + data
	command(t, true, []string{"replay", "--shadow", storage}, "100.0%", "To look at it")
	command(t, true, []string{"shadow", "diff", storage}, "samples", "0 only in the shadow")
	command(t, false, []string{"shadow", "swap", "--all", "--live-only=remove", storage}, "may have arrived before the shadow's begin")
	command(t, true, []string{"shadow", "swap", "--all", "--live-only=keep", storage}, "added")
	n = start(t, "all", data)
	eventually(t, time.Minute, "every sample once", func() error {
		body, err := getAs(n.url+"/api/v1/query?query=sum(count_over_time(shadowed[1m]))&time="+seconds(float64(now)/1000), "")
		if err == nil && !strings.Contains(body, `"5"`) {
			err = fmt.Errorf("got %s", body)
		}
		return err
	})
}
