package chaos

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
)

// receiverPoints and consumerPoints kill a role of a cluster while the others live.
var (
	receiverPoints = []point{
		{"receiver/produced", []int{1, 40}},
		{"producer/partial", []int{1, 25}},
	}
	consumerPoints = []point{
		{"consumer/before-insert", []int{1, 4}},
		{"clickhouse/after-series", []int{2}},
		{"clickhouse/after-day", []int{1, 5}},
		{"clickhouse/before-progress", []int{3}},
		{"consumer/before-commit", []int{1, 4}},
	}
)

// cluster is a receiver, two consumers and a querier on Apache Kafka and one ClickHouse.
type cluster struct {
	kafka             *testenv.Kafka // the broker, nil where there are several
	brokers           []string
	flags             []string
	receiver, querier *node
	consumers         [2]*node
	tables            *database
	total             int // samples acknowledged
}

// group is the consumer group of a default configuration.
const group = "metricstream"

// TestKafka kills roles and the broker.
func TestKafka(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	var table table
	defer table.print(t, "Kafka, two consumers")
	begin := time.Now()
	for round := 0; round == 0 || time.Since(begin) < *atLeast && !t.Failed(); round++ {
		c.killAtPoints(t, round, &table)
		c.killAnywhere(t, round, &table)
		c.replay(t)
	}
}

// killAtPoints kills the receiver and the consumers at each of their points.
func (c *cluster) killAtPoints(t *testing.T, round int, table *table) {
	t.Helper()
	l := startLoad(t, c.receiver.address, label(receiverPoints[0].name, round))
	for _, p := range receiverPoints {
		l.mark(label(p.name, round))
		for _, hit := range p.hits {
			c.receiver.Kill()
			c.receiver.dieAt(t, p.name, again(round, hit))
			c.receiver.startReady(t)
			table.row(p.name).kills++
		}
	}
	c.tables.pretend(c.tables.generation())
	for i, p := range consumerPoints {
		victim := c.consumers[i%2]
		victim.stop(t)
		l.mark(label(p.name, round))
		for _, hit := range p.hits {
			victim.dieAt(t, p.name, again(round, hit))
			c.evict(t)
			table.row(p.name).kills++
		}
		victim.startReady(t)
	}
	c.finish(t, l, table)
	c.tables.forget()
}

// killAnywhere kills a consumer that gives partitions up, the broker, and a consumer of whose death nobody tells
// Kafka.
func (c *cluster) killAnywhere(t *testing.T, round int, table *table) {
	t.Helper()
	const revoked, broker, consumer = "consumer/revoked", "broker, anywhere", "consumer, anywhere"
	l := startLoad(t, c.receiver.address, label(revoked, round))
	c.killAtRevoke(t, revoked)
	table.row(revoked).kills++
	l.mark(label(broker, round))
	for range 2 {
		c.receiver.awaitLoad(t, l)
		c.kafka.Kill()
		c.kafka.Restart()
		c.receiver.awaitLoad(t, l)
		table.row(broker).kills++
	}
	l.mark(label(consumer, round))
	c.consumers[0].Kill()
	c.consumers[0].startReady(t)
	table.row(consumer).kills++
	c.finish(t, l, table)
}

// finish ends a load and compares what is visible.
func (c *cluster) finish(t *testing.T, l *load, table *table) {
	t.Helper()
	l.finish(t)
	verify(t, c.querier.url(), l, table)
	c.total += len(l.acked) * perRequest
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	kafka := testenv.StartKafka(t)
	c := startClusterOn(t, []string{kafka.Address}, ownDatabase(t, testenv.StartEngine(t)))
	c.kafka = kafka
	return c
}

// startClusterOn starts the roles on brokers and a database that are there.
func startClusterOn(t *testing.T, brokers []string, dsn string) *cluster {
	t.Helper()
	c := &cluster{brokers: brokers}
	c.flags = []string{"--kafka.brokers=" + strings.Join(brokers, ","), "--clickhouse.dsn=" + dsn}
	c.receiver, c.querier = newNode(t, "receiver", c.flags...), newNode(t, "querier", c.flags...)
	for i := range c.consumers {
		c.consumers[i] = newNode(t, "consumer", c.flags...)
		c.consumers[i].startReady(t)
	}
	c.receiver.startReady(t)
	c.querier.startReady(t)
	c.tables = openDatabase(t, dsn)
	return c
}

// ownDatabase returns the address of a database of the test's own in a ClickHouse that several tests share.
func ownDatabase(t *testing.T, engine string) string {
	t.Helper()
	dsn, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + t.Name()
	return dsn.String()
}

// killAtRevoke kills a consumer while it writes the last rows of partitions that another is to have.
func (c *cluster) killAtRevoke(t *testing.T, point string) {
	t.Helper()
	victim, other := c.consumers[0], c.consumers[1]
	other.stop(t) // so the victim gets all the partitions
	victim.stop(t)
	victim.start(t, point)
	eventually(t, "the victim has all partitions", func() error {
		const lag = "metricstream_consumer_lag_records"
		got, err := victim.metrics(lag)
		if err == nil && len(got[lag]) != partitions {
			err = fmt.Errorf("it has %d", len(got[lag]))
		}
		return err
	})
	other.start(t, "")
	victim.awaitDeath(t, point)
	c.evict(t)
	victim.startReady(t)
}

// evict takes all members out of the group, the living too, as if their sessions had timed out. Otherwise every
// kill of a consumer would take as long as a session.
func (c *cluster) evict(t *testing.T) {
	t.Helper()
	admin := c.admin(t)
	defer admin.Close()
	groups, err := admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		t.Fatalf("cannot describe the group: %v", err)
	}
	leave := &sarama.LeaveGroupRequest{Version: 3, GroupId: group}
	for id := range groups[0].Members {
		leave.Members = append(leave.Members, sarama.MemberIdentity{MemberId: id})
	}
	coordinator, err := admin.Coordinator(group)
	if err != nil {
		t.Fatalf("cannot find the group's coordinator: %v", err)
	}
	if _, err := coordinator.LeaveGroup(leave); err != nil {
		t.Fatalf("cannot remove the group's members: %v", err)
	}
}

func (c *cluster) admin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin(c.brokers, config)
	if err != nil {
		t.Fatalf("cannot administer Kafka: %v", err)
	}
	return admin
}

// replay reads the whole topic again, once with one consumer because the group is gone with its offsets and once
// because the tables know of no progress, and compares the tables. In the end both consumers run.
func (c *cluster) replay(t *testing.T) {
	t.Helper()
	one, other := c.consumers[0], c.consumers[1]
	one.stop(t)
	other.stop(t)
	was := c.tables.sums()
	if keys := c.tables.keys(); keys != c.total {
		t.Errorf("the tables have %d samples, acknowledged were %d", keys, c.total)
	}
	t.Logf("%d samples in %d rows", c.total, was["samples"].rows+was["histograms"].rows)
	c.evict(t)
	admin := c.admin(t)
	defer admin.Close()
	if err := admin.DeleteConsumerGroup(group); err != nil {
		t.Fatalf("cannot delete the group: %v", err)
	}
	one.readAll(t, c.total)
	unchanged(t, "a replay without committed offsets", was, c.tables.sums())
	c.tables.forget()
	one.readAll(t, c.total)
	unchanged(t, "a replay without progress", was, c.tables.sums())
	one.startReady(t)
	other.startReady(t)
}
