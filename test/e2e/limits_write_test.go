package e2e

import (
	"errors"
	"flag"
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

// limitWindow is how long senders send too much. Over a minute what is let through is held to a tenth of the limit; this is
// shorter, on a busy machine.
var limitWindow = flag.Duration("limit-window", 6*time.Second, "how long TestReceiversShareALimit sends at a time; from a minute on it is strict")

// TestReceiversShareALimit has two receivers with one limit, over real Kafka and Redis: together they let the limit through,
// with Redis killed they go on and stay under twice the limit, and with Redis back they let the limit through again.
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
	held := func(when string, low, high float64) {
		t.Helper()
		rate := push(*limitWindow)
		t.Logf("%.0f samples a second %s", rate, when)
		if rate < low*limit || rate > high*limit {
			t.Errorf("%.0f samples a second with a limit of %d, %s", rate, limit, when)
		}
	}
	low, high := 0.6, 1.25
	if *limitWindow >= time.Minute {
		low, high = 0.9, 1.1
	}
	push(2 * time.Second) // the burst
	held("with Redis", low, high)
	redis.Kill()
	held("without Redis", 0.3, 2)
	redis.Restart()
	eventually(t, time.Minute, "both to share the limit again", func() error {
		for _, r := range receivers {
			up, err := metricSum(r, "metricstream_limits_shared_up")
			n, err2 := metricSum(r, "metricstream_limits_receivers")
			if err := errors.Join(err, err2); err != nil || up != 1 || n != 2 {
				return fmt.Errorf("shared: %v, receivers: %v, %v", up, n, err)
			}
		}
		return nil
	})
	push(2 * time.Second)
	held("with Redis back", low, high)
	if body, err := getAs(receivers[0]+"/api/v1/user_limits", ""); err != nil || !strings.Contains(body, `"ingestion_rate":50000`) {
		t.Errorf("user_limits: %v %s", err, body)
	}
	if body, err := getAs(receivers[0]+"/prometheus/api/v1/user_stats", ""); err != nil || !strings.Contains(body, `"numSeries":4000`) {
		t.Errorf("user_stats: %v %s", err, body)
	}
}
