package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/metricstream/metricstream/internal/testenv"
)

// command runs the binary and checks whether it succeeds and what it says.
func command(t *testing.T, ok bool, args []string, want ...string) {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if (err == nil) != ok {
		t.Fatalf("metricstream %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Fatalf("metricstream %s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// TestDamagedLog damages a record in the middle of the embedded log: it is found, refused with its place, and
// skipped when that is configured.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	now := time.Now().UnixMilli()
	for i := range int64(20) { // one after the other, so that each request is a group commit
		if code := postSamples(n.url, "", now-i, 1, 5, map[string]string{"__name__": "damage_test"}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
	storage := "--storage.path=" + data
	verify := []string{"log", "verify", storage}
	command(t, false, verify, "another process has it open", "stop it first")
	command(t, false, []string{"deadletter", "list", storage}, "another process has it open", "stop it first")
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	command(t, true, verify, "1 segments", "records", "group metricstream has committed")
	command(t, true, []string{"deadletter", "list", storage}, "0 dead letters")
	command(t, true, []string{"deadletter", "replay", storage}, "0 replayed, 0 not")

	segment := filepath.Join(data, "log", "00000000000000000001.log")
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/3] ^= 1
	if err := os.WriteFile(segment, raw, 0o640); err != nil {
		t.Fatal(err)
	}
	command(t, false, verify, "DAMAGED: "+segment, "from byte", "MISSING: offsets", "the log is damaged")
	address := "--web.listen-address=" + testenv.FreeAddress(t)
	command(t, false, []string{"all", storage, address}, segment, "at byte", "kafka.embedded.skip_corrupt")
	config := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(config, []byte("kafka: {embedded: {skip_corrupt: true}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n = start(t, "all", data, "--config.file="+config)
	if code := postSamples(n.url, "", now+1, 7, 5, map[string]string{"__name__": "damage_test"}); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	eventually(t, time.Minute, "what came after", func() error { return count(n.url, "damage_test == 7", now+1, 5) })
}

// TestDeadLettersOnKafka puts a record that is none into the topic, finds it among the dead letters, and sees that
// it is not replayed.
func TestDeadLettersOnKafka(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=letters"}
	tables := "--clickhouse.dsn=" + clickhouse(t)
	start(t, "consumer", t.TempDir(), append(shared, tables)...)
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer([]string{kafka.Address}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "letters", Partition: 3, Value: sarama.StringEncoder("\x01nonsense")}); err != nil {
		t.Fatal(err)
	}
	list := append([]string{"deadletter", "list"}, shared...)
	eventually(t, time.Minute, "the dead letter", func() error {
		out, err := exec.Command(binary, list...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "1 dead letters") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	command(t, true, list, "letters", "corrupt")
	command(t, true, append([]string{"deadletter", "replay", tables}, shared...), "not replayed: 0: it still cannot be read", "0 replayed, 1 not", "--from=1")
	command(t, true, append(list, "--from=1"), "0 dead letters")
	command(t, false, []string{"deadletter", "list", "--kafka.brokers=" + kafka.Address, "--kafka.topic=nowhere"}, "nowhere")
}
