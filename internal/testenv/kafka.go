package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Kafka is a real Apache Kafka broker on loopback, which is a controller too. Alone it is the whole cluster.
type Kafka struct {
	// Address is where clients find the broker, host:port. It stays the same over Restart.
	Address string

	t      testing.TB
	lib    string
	dir    string
	id     int
	listen string   // where it listens: Address unless it is behind something
	quorum []string // the controllers' addresses, its own at id-1
	secure *secureListener
	cmd    *exec.Cmd
	done   chan struct{}
}

const kafkaStartTimeout = 90 * time.Second

// StartKafka starts a broker with empty data. It is killed when the test ends.
func StartKafka(t testing.TB) *Kafka {
	t.Helper()
	return StartKafkaBehind(t, FreeAddress(t), "")
}

// StartKafkaBehind starts a broker that listens at one address and tells its clients to come to another, where the
// test has put something between; empty is the same.
func StartKafkaBehind(t testing.TB, listen, advertised string) *Kafka {
	t.Helper()
	k := newKafka(t, 1, []string{FreeAddress(t)}, listen)
	if advertised != "" {
		k.Address = advertised
	}
	k.format()
	k.start()
	return k
}

// newKafka returns a broker that is not formatted and not started.
func newKafka(t testing.TB, id int, quorum []string, listen string) *Kafka {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Fatalf("Apache Kafka needs Java 17 or newer (Debian: apt-get install default-jre-headless): %v", err)
	}
	lib, err := FetchKafka(t.Context(), CacheDir(t))
	if err != nil {
		t.Fatal(err)
	}
	return &Kafka{t: t, lib: lib, dir: t.TempDir(), id: id, quorum: quorum, Address: listen, listen: listen}
}

// format prepares the data folder, and the end of the broker with the test.
func (k *Kafka) format() {
	k.t.Helper()
	k.configure()
	args := append([]string{"format", "-t", "bWV0cmljc3RyZWFtLXRlcw", "-c", k.path("server.properties")}, k.secure.users()...)
	out, err := k.java("kafka.tools.StorageTool", args...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("cannot format Kafka's data folder: %v\n%s", err, out)
	}
	k.t.Cleanup(func() {
		k.Kill()
		if k.t.Failed() {
			k.t.Logf("Kafka %d printed:\n%s", k.id, tail(k.path("kafka.log")))
		}
	})
}

// Stop shuts the broker down in order.
func (k *Kafka) Stop() { k.end(syscall.SIGTERM) }

// Kill ends the broker by SIGKILL.
func (k *Kafka) Kill() { k.end(syscall.SIGKILL) }

// Restart starts the broker again, on the same address and data, after Stop or Kill.
func (k *Kafka) Restart() {
	k.t.Helper()
	k.start()
}

func (k *Kafka) end(signal syscall.Signal) {
	if k.cmd == nil {
		return
	}
	k.cmd.Process.Signal(signal)
	select {
	case <-k.done:
	case <-time.After(30 * time.Second):
		k.cmd.Process.Kill()
		<-k.done
	}
	k.cmd = nil
}

func (k *Kafka) path(name string) string { return filepath.Join(k.dir, name) }

// configure writes the broker's properties. Internal topics have few partitions, and of several brokers one that
// vanished is noticed soon: it should be quick. Everything is kept by as many brokers as there are.
func (k *Kafka) configure() {
	var voters []string
	for i, address := range k.quorum {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, address))
	}
	controller := k.quorum[k.id-1]
	replicas := strconv.Itoa(len(k.quorum))
	inSync := strconv.Itoa(len(k.quorum)/2 + 1)
	noticed := "9000"
	if len(k.quorum) > 1 {
		noticed = "3000"
	}
	k.write("server.properties", strings.Join(append([]string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(k.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"listeners=PLAINTEXT://" + k.listen + k.secure.listener() + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + k.Address + k.secure.listener(),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
		"log.dirs=" + k.path("data"),
		"auto.create.topics.enable=false",
		"default.replication.factor=" + replicas,
		"min.insync.replicas=" + inSync,
		"offsets.topic.replication.factor=" + replicas,
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=" + replicas,
		"transaction.state.log.min.isr=" + inSync,
		"transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=" + replicas,
		"share.coordinator.state.topic.min.isr=" + inSync,
		"share.coordinator.state.topic.num.partitions=1",
		"broker.session.timeout.ms=" + noticed,
		"broker.heartbeat.interval.ms=500",
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		"controlled.shutdown.enable=false",
	}, k.secure.properties()...), "\n"))
	k.write("log4j2.properties", strings.Join([]string{
		"appender.out.type=Console", "appender.out.name=out", "appender.out.layout.type=PatternLayout",
		"appender.out.layout.pattern=%d %p %c{1}: %m%n",
		"rootLogger.level=WARN", "rootLogger.appenderRef.out.ref=out",
	}, "\n"))
}

func (k *Kafka) write(name, text string) {
	if err := os.WriteFile(k.path(name), []byte(text+"\n"), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

func (k *Kafka) java(class string, args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{
		"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + k.path("log4j2.properties"),
		"-cp", filepath.Join(k.lib, "*"), class,
	}, args...)...)
	cmd.Dir = k.dir
	return cmd
}

func (k *Kafka) start() {
	k.t.Helper()
	k.launch()
	if err := k.wait(); err != nil {
		k.t.Fatalf("Kafka did not start: %v\n%s", err, tail(k.path("kafka.log")))
	}
}

// launch starts the broker's process and does not wait.
func (k *Kafka) launch() {
	k.t.Helper()
	log, err := os.OpenFile(k.path("kafka.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	k.cmd = k.java("kafka.Kafka", k.path("server.properties"))
	k.cmd.Stdout, k.cmd.Stderr = log, log
	k.cmd.SysProcAttr = deathSignal()
	if err := k.cmd.Start(); err != nil {
		k.cmd = nil
		k.t.Fatalf("cannot start Kafka: %v", err)
	}
	cmd, done := k.cmd, make(chan struct{})
	k.done = done
	go func() { cmd.Wait(); close(done) }()
}

// wait polls until the broker answers, which is later than when it listens.
func (k *Kafka) wait() error {
	err := fmt.Errorf("it does not listen")
	for deadline := time.Now().Add(kafkaStartTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-k.done:
			return fmt.Errorf("it ended: %v", k.cmd.ProcessState)
		default:
		}
		conn, dialErr := net.DialTimeout("tcp", k.listen, time.Second)
		if dialErr != nil {
			continue
		}
		conn.Close()
		var client sarama.Client
		if client, err = sarama.NewClient([]string{k.Address}, nil); err == nil {
			_, err = client.Controller()
			client.Close()
		}
		if err == nil {
			return nil
		}
	}
	return err
}
