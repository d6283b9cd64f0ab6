package chaos

import (
	encoding "encoding/binary" // binary is the program under test
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
)

// ackProxy stands between a broker and its clients. Where it is armed, the broker is killed when its next answer to a
// produce request has come, and nobody hears the answer: the records are appended and not acknowledged.
type ackProxy struct {
	address, target string
	kill            func()

	mu   sync.Mutex
	next chan appended // nil where it is not armed
}

// appended is a record of which the broker said that it has it.
type appended struct {
	partition int32
	offset    int64
}

func startAckProxy(t *testing.T, target string) *ackProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &ackProxy{address: listener.Addr().String(), target: target}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { // the broker is killed after this, and clients before
		listener.Close()
	})
	return p
}

// arm waits for the next produce request that the broker has done. Its first record comes when the broker is dead.
func (p *ackProxy) arm() <-chan appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = make(chan appended, 1)
	return p.next
}

// take is who has to kill the broker for an answer; nil is nobody.
func (p *ackProxy) take() chan appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.next
	p.next = nil
	return taken
}

// serve passes on what client and broker say until one of them ends.
func (p *ackProxy) serve(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer broker.Close()
	c := &brokerConn{client: client, broker: broker, produces: map[uint32]bool{}}
	var wg sync.WaitGroup
	wg.Go(c.up)
	c.down(p)
	client.Close()
	broker.Close()
	wg.Wait()
}

// brokerConn is one connection. Requests and answers are frames: a length, and so many bytes. The same number is in a
// request and in its answer.
type brokerConn struct {
	client, broker net.Conn

	mu       sync.Mutex
	produces map[uint32]bool // the numbers of produce requests
}

func readFrame(from net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+encoding.BigEndian.Uint32(head))
	copy(frame, head)
	_, err := io.ReadFull(from, frame[4:])
	return frame, err
}

// up passes on requests: length, kind, version, number, and the rest.
func (c *brokerConn) up() {
	defer c.broker.Close()
	for {
		frame, err := readFrame(c.client)
		if err != nil || len(frame) < 12 {
			return
		}
		if kind := encoding.BigEndian.Uint16(frame[4:]); kind == 0 {
			c.mu.Lock()
			c.produces[encoding.BigEndian.Uint32(frame[8:])] = true
			c.mu.Unlock()
		}
		if _, err := c.broker.Write(frame); err != nil {
			return
		}
	}
}

// down passes on answers, but for the one that the proxy is armed for.
func (c *brokerConn) down(p *ackProxy) {
	for {
		frame, err := readFrame(c.broker)
		if err != nil || len(frame) < 8 {
			return
		}
		number := encoding.BigEndian.Uint32(frame[4:])
		c.mu.Lock()
		produce := c.produces[number]
		delete(c.produces, number)
		c.mu.Unlock()
		if first, ok := firstAppended(frame); produce && ok {
			if hit := p.take(); hit != nil {
				p.kill()
				hit <- first
				return
			}
		}
		if _, err := c.client.Write(frame); err != nil {
			return
		}
	}
}

// firstAppended reads the beginning of an answer to a produce request of version 9 or later: length, number, no
// tags, topics with their names, partitions with an error, none here, and the offset of the first record.
func firstAppended(frame []byte) (appended, bool) {
	const partitionBytes = 4 + 2 + 8
	rest := frame[8:]
	var counts [3]uint64 // tags; topics and one more; bytes of the name and one more
	for i := range counts {
		n, size := encoding.Uvarint(rest)
		if size <= 0 {
			return appended{}, false
		}
		counts[i], rest = n, rest[size:]
	}
	name := int(counts[2]) - 1
	if counts[0] != 0 || counts[1] != 2 || name < 0 || len(rest) < name+1+partitionBytes {
		return appended{}, false
	}
	first := rest[name+1:] // behind the name there is one byte, the number of partitions and one more
	if code := encoding.BigEndian.Uint16(first[4:]); code != 0 {
		return appended{}, false
	}
	return appended{int32(encoding.BigEndian.Uint32(first)), int64(encoding.BigEndian.Uint64(first[6:]))}, true
}

// TestAppendedNotAcknowledged kills the broker after it has appended records and before a receiver hears of it.
func TestAppendedNotAcknowledged(t *testing.T) {
	t.Parallel()
	listen := testenv.FreeAddress(t)
	proxy := startAckProxy(t, listen)
	kafka := testenv.StartKafkaBehind(t, listen, proxy.address)
	proxy.kill = kafka.Kill
	c := startClusterOn(t, []string{proxy.address}, ownDatabase(t, testenv.StartEngine(t)))
	var table table
	defer table.print(t, "Kafka behind a proxy")
	const name = "broker has appended, nobody knows"
	l := startLoad(t, c.receiver.address, label(name, 0))
	begin := time.Now()
	for kills := 0; kills < 3 || time.Since(begin) < *atLeast && !t.Failed(); kills++ {
		c.receiver.awaitLoad(t, l)
		refused := c.receiver.failures(t)
		var first appended
		select {
		case first = <-proxy.arm():
		case <-time.After(within):
			t.Fatal("nothing was produced")
		}
		table.row(name).kills++
		eventually(t, "the receiver refuses the request", func() error {
			if n := c.receiver.failures(t); n == refused {
				return fmt.Errorf("%v requests failed, as before", n)
			}
			return nil
		})
		kafka.Restart()
		c.hasRecord(t, first)
		c.receiver.awaitLoad(t, l)
	}
	c.finish(t, l, &table)
	c.replay(t)
}

// failures is how many requests the log did not take; each was answered with 503.
func (n *node) failures(t *testing.T) float64 {
	t.Helper()
	const failures = "metricstream_producer_failures_total"
	got, err := n.metrics(failures)
	if err != nil || len(got[failures]) != 1 {
		t.Fatalf("cannot read %s: %v, %v", failures, got, err)
	}
	return got[failures][0]
}

// hasRecord checks that the broker kept a record that nobody was told of: otherwise the test would show little.
func (c *cluster) hasRecord(t *testing.T, r appended) {
	t.Helper()
	client, err := sarama.NewClient(c.brokers, nil)
	if err != nil {
		t.Fatalf("cannot reach Kafka: %v", err)
	}
	defer client.Close()
	end, err := client.GetOffset(topic, r.partition, sarama.OffsetNewest)
	if err != nil || end <= r.offset {
		t.Errorf("partition %d ends at %d, the broker had appended at %d: %v", r.partition, end, r.offset, err)
	}
}
