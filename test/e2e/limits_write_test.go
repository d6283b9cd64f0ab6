package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// limitWindow is how long senders send too much.
const limitWindow = 6 * time.Second

// TestReceiversShareALimit has two receivers with one limit, over real Kafka and Redis: together they let the limit through,
// and with Redis killed they go on and stay under twice the limit.
func TestReceiversShareALimit(t *testing.T) {
	t.Parallel()
	kafka, redis := testenv.StartKafka(t), testenv.StartRedis(t)
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	const limit = 50_000
	config := fmt.Sprintf("remote_write: {limit_status: 529}\nlimits: {samples_per_second: %d, samples_burst: %d}\nredis: {address: '%s'}\n", limit, limit, redis.Address)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=limits", "--config.file=" + file}
	receivers := []string{start(t, "receiver", t.TempDir(), shared...).url, start(t, "receiver", t.TempDir(), shared...).url}
	push := func(d time.Duration) float64 {
		var sent atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for i, r := range receivers {
			for sender := range 2 {
				all.Go(func() {
					for n := 0; time.Since(began) < d; n++ {
						code, header := writeSamples(r, "", time.Now().UnixMilli(), float64(n), 2000, map[string]string{"__name__": "load", "sender": fmt.Sprint(i, sender)})
						switch {
						case code == http.StatusNoContent:
							sent.Add(2000)
						case code != 529 || header.Get("Retry-After") == "":
							t.Errorf("answered %d %v", code, header)
							return
						default:
							time.Sleep(10 * time.Millisecond) // a sender that does not wait as long as it is told
						}
					}
				})
			}
		}
		all.Wait()
		return float64(sent.Load()) / time.Since(began).Seconds()
	}
	push(2 * time.Second) // the burst
	rate := push(limitWindow)
	t.Logf("%.0f samples a second with Redis", rate)
	if rate < 0.6*limit || rate > 1.25*limit { // a minute is within a tenth; this is shorter, on a busy machine
		t.Errorf("%.0f samples a second with a limit of %d", rate, limit)
	}
	redis.Kill()
	rate = push(limitWindow)
	t.Logf("%.0f samples a second without", rate)
	if rate < 0.3*limit || rate > 2*limit {
		t.Errorf("%.0f samples a second with a limit of %d, without Redis", rate, limit)
	}
	if body, err := getAs(receivers[0]+"/api/v1/user_limits", ""); err != nil || !strings.Contains(body, `"ingestion_rate":50000`) {
		t.Errorf("user_limits: %v %s", err, body)
	}
	if body, err := getAs(receivers[0]+"/prometheus/api/v1/user_stats", ""); err != nil || !strings.Contains(body, `"numSeries":4000`) {
		t.Errorf("user_stats: %v %s", err, body)
	}
}
