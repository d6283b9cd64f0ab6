package kafka

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
		t.Cleanup(func() { b.log.Close() })
		return b
	}
}

func TestApacheKafka(t *testing.T) {
	t.Parallel()
	k := testenv.StartKafka(t)
	testLog(t, overBrokers(k.Address, k.Kill, k.Restart))
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
	testLog(t, overBrokers(address, func() { cluster.Close() }, start))
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
