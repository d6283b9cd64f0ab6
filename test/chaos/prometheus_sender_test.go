package chaos

import (
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// outage is how long Kafka is away from a Prometheus.
var outage = flag.Duration("outage", 20*time.Second, "how long Kafka is away while a Prometheus writes")

// longestRetryAfter is how long a receiver may tell a sender to wait.
const longestRetryAfter = 144 * time.Second

// phase is something that is done to a cluster while a Prometheus writes to it, and how many kills that is.
type phase struct {
	name  string
	kills int
	do    func()
}

// TestPrometheusSender lets a real Prometheus write while brokers and consumers are killed, while consumers come and
// go, and while Kafka is away, and compares what is visible with the Prometheus' own database.
func TestPrometheusSender(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	c := startClusterOn(t, []string{kafka.Address}, ownDatabase(t, testenv.StartEngine(t)))
	c.kafka = kafka
	p := startPrometheus(t, c.receiver.url())
	phases := []phase{
		{"broker, anywhere", 1, func() { c.killBroker(1) }},
		{"consumer, anywhere", 2, func() { c.killConsumers(t) }},
		{"a consumer joins and leaves", 0, func() { c.joinAndLeave(t) }},
		{fmt.Sprintf("Kafka away for %v", *outage), 1, func() { c.takeKafkaAway(t, *outage) }},
	}
	var table table
	defer table.print(t, "a real Prometheus, Kafka")

	// What was scraped before Prometheus began to read its own log for sending is not sent.
	eventually(t, "Prometheus writes", func() error {
		if n, err := number(c.querier.url(), "count("+scraped+")", time.Now().UnixMilli()); err != nil || n < 500 {
			return fmt.Errorf("%v series: %v", n, err)
		}
		return nil
	})
	whole := span{fromMs: time.Now().UnixMilli()}
	spans := make([]span, len(phases))
	for i, ph := range phases {
		spans[i].fromMs = time.Now().UnixMilli()
		if i > 0 {
			spans[i].fromMs = spans[i-1].toMs
		}
		begin := time.Now()
		ph.do()
		t.Logf("%s: %v", ph.name, time.Since(begin).Round(time.Second))
		spans[i].toMs = time.Now().UnixMilli()
		table.row(ph.name).kills += ph.kills
	}
	whole.toMs = spans[len(spans)-1].toMs
	back := time.Now()
	time.Sleep(2 * time.Second) // a scrape that began before may still be on its way into the Prometheus' own database
	if err := p.awaitNewest(c.querier.url(), whole, within+longestRetryAfter); err != nil {
		t.Errorf("Prometheus' samples do not come: %v", err)
	}
	t.Logf("%v after Kafka was back nothing was missing", time.Since(back).Round(time.Second))
	complain := budget(t, 10)
	for i, ph := range phases {
		p.compare(t, c.querier.url(), spans[i], table.row(ph.name), complain)
	}
	p.compareTotals(t, c.querier.url(), whole)
	for _, name := range []string{"samples_failed_total", "histograms_failed_total", "samples_dropped_total"} {
		if n := p.counter(t, "prometheus_remote_storage_"+name); n != 0 {
			t.Errorf("Prometheus' %s is %v", name, n)
		}
	}
	if n := p.counter(t, "prometheus_remote_storage_samples_retried_total"); n == 0 {
		t.Error("Prometheus had to send nothing again: the outage was none")
	}
}

// killBroker kills the only broker a few times.
func (c *cluster) killBroker(times int) {
	for range times {
		time.Sleep(3 * time.Second)
		c.kafka.Kill()
		c.kafka.Restart()
	}
	time.Sleep(3 * time.Second)
}

// killConsumers kills one after the other.
func (c *cluster) killConsumers(t *testing.T) {
	t.Helper()
	for _, victim := range c.consumers {
		time.Sleep(2 * time.Second)
		victim.Kill()
		victim.startReady(t)
		c.evict(t)
	}
	time.Sleep(2 * time.Second)
}

// joinAndLeave lets a third consumer have some of the partitions for a while.
func (c *cluster) joinAndLeave(t *testing.T) {
	t.Helper()
	third := newNode(t, "consumer", c.flags...)
	third.startReady(t)
	eventually(t, "the third consumer has a partition", func() error {
		got, err := third.metrics(lagRecords)
		if err == nil && len(got[lagRecords]) == 0 {
			err = fmt.Errorf("it has none")
		}
		return err
	})
	time.Sleep(3 * time.Second)
	third.stop(t)
	time.Sleep(2 * time.Second)
}

// takeKafkaAway kills the broker for a while. The receiver tells senders to come later.
func (c *cluster) takeKafkaAway(t *testing.T, away time.Duration) {
	t.Helper()
	c.kafka.Kill()
	back := time.After(away)
	first, last := tryToWrite(t, c.receiver.url(), 1), tryToWrite(t, c.receiver.url(), 5)
	if first < 1 || last <= first {
		t.Errorf("Retry-After is %d s for the first attempt and %d s for the fifth", first, last)
	}
	<-back
	c.kafka.Restart()
	time.Sleep(2 * time.Second)
}

// tryToWrite writes while there is no Kafka, and returns after how many seconds to try again.
func tryToWrite(t *testing.T, receiver string, attempt int) int {
	t.Helper()
	resp, err := client.Do(probe(t, receiver, attempt))
	if err != nil {
		t.Fatalf("the receiver does not answer without Kafka: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the receiver answers %s without Kafka, want 503", resp.Status)
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		t.Errorf("503 without a Retry-After: %v", err)
	}
	return seconds
}
