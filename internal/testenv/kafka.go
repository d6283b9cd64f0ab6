package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Kafka is a real Apache Kafka of one node, broker and controller in one process, on loopback.
type Kafka struct {
	// Address is the broker's, host:port. It stays the same over Restart.
	Address string

	t    testing.TB
	lib  string
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

const kafkaStartTimeout = 90 * time.Second

// StartKafka starts a broker with empty data. It is killed when the test ends.
func StartKafka(t testing.TB) *Kafka {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Fatalf("Apache Kafka needs Java 17 or newer (Debian: apt-get install default-jre-headless): %v", err)
	}
	lib, err := FetchKafka(t.Context(), CacheDir(t))
	if err != nil {
		t.Fatal(err)
	}
	k := &Kafka{t: t, lib: lib, dir: t.TempDir(), Address: FreeAddress(t)}
	k.configure()
	out, err := k.java("kafka.tools.StorageTool", "format", "-t", "bWV0cmljc3RyZWFtLXRlcw", "-c", k.path("server.properties")).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot format Kafka's data folder: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		k.Kill()
		if t.Failed() {
			t.Logf("Kafka printed:\n%s", tail(k.path("kafka.log")))
		}
	})
	k.start()
	return k
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

// configure writes the broker's properties. Internal topics have one replica and few partitions: there is one
// broker, and it should be quick.
func (k *Kafka) configure() {
	controller := FreeAddress(k.t)
	k.write("server.properties", strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + k.Address + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + k.Address,
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs=" + k.path("data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"share.coordinator.state.topic.num.partitions=1",
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		"controlled.shutdown.enable=false",
	}, "\n"))
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
	if err := k.wait(); err != nil {
		k.t.Fatalf("Kafka did not start: %v\n%s", err, tail(k.path("kafka.log")))
	}
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
		conn, dialErr := net.DialTimeout("tcp", k.Address, time.Second)
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
