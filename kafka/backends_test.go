package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metricstream/metricstream/internal/testenv"
)

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Partitions = 4
	cfg.FlushAge = 20 * time.Millisecond
	cfg.Embedded.SegmentBytes = 64 << 10
	return cfg
}

func TestEmbeddedLog(t *testing.T) {
	testLog(t, func(t *testing.T) *backend {
		dir, cfg := t.TempDir(), testConfig()
		b := &backend{cfg: cfg}
		b.start = func() *Log {
			log, err := OpenEmbedded(dir, cfg, testLogger(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
		b.stop = func() {
			if err := b.log.Close(); err != nil {
				t.Error(err)
			}
		}
		b.log = b.start()
		b.recreate = func() {
			b.stop()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			b.log = b.start()
		}
		t.Cleanup(func() { b.stop() })
		return b
	})
}

// overBrokers opens backends on one cluster, a topic for each.
func overBrokers(address string, stop func(), start func()) func(t *testing.T) *backend {
	var topics atomic.Int32
	return func(t *testing.T) *backend {
		cfg := testConfig()
		cfg.Brokers = []string{address}
		cfg.Topic += "-" + strconv.Itoa(int(topics.Add(1)))
		cfg.DeadLetterTopic = cfg.Topic + "-dead-letters"
		cfg.Group = cfg.Topic
		connect := func() *Log {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			log, err := OpenBrokers(ctx, cfg, testLogger(t))
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
		b := &backend{cfg: cfg, log: connect(), stop: stop}
		b.start = func() *Log { start(); return b.log } // the client comes back by itself
		b.recreate = func() { recreateTopic(t, cfg) }
		t.Cleanup(func() { b.log.Close() })
		return b
	}
}

// recreateTopic deletes a topic and creates it again.
func recreateTopic(t *testing.T, cfg Config) {
	t.Helper()
	client, err := connect(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.DeleteTopic(cfg.Topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic is gone", func() bool {
		_, err := countPartitions(client, cfg.Topic)
		return errors.Is(err, sarama.ErrUnknownTopicOrPartition)
	})
	if _, err := setUpTopic(client, admin, cfg, cfg.Topic, cfg.Partitions); err != nil {
		t.Fatal(err)
	}
}

func TestApacheKafka(t *testing.T) {
	t.Parallel()
	k := testenv.StartKafka(t)
	open := overBrokers(k.Address, k.Kill, k.Restart)
	testLog(t, open)
	t.Run("a consumer outlives a broker that is away", func(t *testing.T) { testBrokerAway(t, open(t)) })
	t.Run("an instance comes back to its partitions", func(t *testing.T) { testInstanceComesBack(t, open(t)) })
	t.Run("a topic is made again under a consumer", func(t *testing.T) { testRecreatedUnderAConsumer(t, open(t)) })
}

func TestFakeKafka(t *testing.T) {
	t.Parallel()
	address := testenv.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	dir := t.TempDir()
	var cluster *kfake.Cluster
	start := func() {
		var err error
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(n), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { cluster.Close() })
	open := overBrokers(address, func() { cluster.Close() }, start)
	testLog(t, open)
	t.Run("a consumer outlives a broker that is away", func(t *testing.T) { testBrokerAway(t, open(t)) })
}

// testBrokerAway takes the broker away from a consumer and a producer that go on as they are.
func testBrokerAway(t *testing.T, b *backend) {
	p := b.producer()
	want := b.write(t, p, 1, 5)
	w := newTables()
	c := b.consume(t, w, w)
	eventually(t, "the first samples arrive", func() bool { return w.missing(want) == 0 })
	b.restart()
	request := batchOf(100, 100)
	eventually(t, "the producer writes again", func() bool { return p.Write(t.Context(), request) == nil })
	want = append(want, keysOf(request)...)
	eventually(t, "the later samples arrive", func() bool { return w.missing(want) == 0 })
	eventually(t, "they are committed", func() bool { return claims(c) == b.log.Partitions && lagOf(c) == 0 })
	c.stop()
	again := newTables()
	b.consume(t, again, nil)
	more := b.write(t, p, 200, 1)
	eventually(t, "new samples arrive", func() bool { return again.missing(more) == 0 })
	if n := len(want) - again.missing(want); n > 0 {
		t.Errorf("%d samples that were committed came again", n)
	}
}

func TestTopicSetUp(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, "seeded"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := testConfig()
	cfg.Brokers = cluster.ListenAddrs()
	log, err := OpenBrokers(t.Context(), cfg, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if log.Partitions != cfg.Partitions {
		t.Errorf("a new topic has %d partitions, want %d", log.Partitions, cfg.Partitions)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	cfg.Topic = "seeded"
	if log, err = OpenBrokers(t.Context(), cfg, testLogger(t)); err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if log.Partitions != 3 {
		t.Errorf("the existing topic has %d partitions, want its own 3", log.Partitions)
	}
}

func TestOpenBrokersGivesUpWithItsContext(t *testing.T) {
	cfg := testConfig()
	cfg.Brokers = []string{testenv.FreeAddress(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := OpenBrokers(ctx, cfg, testLogger(t)); err == nil || !strings.Contains(err.Error(), cfg.Brokers[0]) {
		t.Errorf("got %v, want an error that names the broker", err)
	}
}
