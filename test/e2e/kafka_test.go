package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestReadyFollowsKafka takes the broker away and brings it back: a receiver says so, refuses writes with a status on
// which senders try again, and takes them again afterwards.
func TestReadyFollowsKafka(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	receiver := start(t, "receiver", t.TempDir(), "--kafka.brokers="+kafka.Address, "--kafka.topic=ready")
	write := func() int {
		return postSamples(receiver.url, "", time.Now().UnixMilli(), 1, 1, map[string]string{"__name__": "ready_test"})
	}
	if code := write(); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	kafka.Kill()
	eventually(t, time.Minute, "/-/ready to be 503", func() error { return status(receiver.url+"/-/ready", http.StatusServiceUnavailable) })
	if code := write(); code != http.StatusServiceUnavailable {
		t.Errorf("write without a broker answered %d, want 503", code)
	}
	kafka.Restart()
	testenv.WaitOK(t, receiver.Process, receiver.url+"/-/ready", time.Minute)
	eventually(t, time.Minute, "a write to be taken", func() error {
		if code := write(); code != http.StatusNoContent {
			return fmt.Errorf("answered %d", code)
		}
		return nil
	})
}

// status checks the status of a GET.
func status(url string, want int) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("GET %s: %s, want %d", url, resp.Status, want)
	}
	return nil
}

// TestRolesOnKafka runs two receivers, two consumers and a querier as processes of their own on Apache Kafka and
// one ClickHouse. The Prometheus writes everything to both receivers: duplicates must not show.
func TestRolesOnKafka(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	dsn := clickhouse(t)
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=e2e", "--clickhouse.dsn=" + dsn}
	var receivers []string
	for range 2 {
		receivers = append(receivers, start(t, "receiver", t.TempDir(), shared...).url)
		start(t, "consumer", t.TempDir(), shared...)
	}
	querier := start(t, "querier", t.TempDir(), shared...)
	s := startSender(t, true, receivers...)
	time.Sleep(scrapeFor)
	compare(t, s.url, querier.url, append(expressions, newExpressions...))
}
