package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

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
