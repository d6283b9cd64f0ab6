package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/tenant/db"
)

// TestErasingWhatIsWritten erases, of all time, a series that is written to all the while: what came before is gone, and
// from some sample on not one is missing, with its labels, also while Redis is away. A replay of the whole log changes nothing.
func TestErasingWhatIsWritten(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	redis, config := testenv.StartRedis(t), filepath.Join(t.TempDir(), "redis.yml")
	if err := os.WriteFile(config, []byte("redis: {address: "+redis.Address+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n := start(t, "all", data, "--web.enable-admin-api", "--config.file="+config)
	base := time.Now().Add(-10 * time.Minute).UnixMilli()
	var acked []int // the samples, a tenth of a second apart
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	var mu sync.Mutex
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if postSamples(n.url, "", base+int64(i)*100, float64(i), 1, map[string]string{"__name__": "live"}) == http.StatusNoContent {
				mu.Lock()
				acked = append(acked, i)
				mu.Unlock()
			}
			time.Sleep(20 * time.Millisecond) // so that there are several flushes, and not too many samples
		}
	})
	sent := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	more := func() {
		t.Helper()
		before := sent()
		eventually(t, time.Minute, "more samples", func() error {
			if sent() < before+50 {
				return fmt.Errorf("%d", sent())
			}
			return nil
		})
	}
	more()
	before := sent()
	redis.Kill()
	command(t, true, []string{"erase", "--url=" + n.url, "--match=live", "--reason=test"})
	awaitErasure(t, n.url, db.ErasureCleaning, "from Redis")
	done := sent()
	more()
	stop()
	writing.Wait()

	seen := func() (values []int, err error) {
		got, err := query(n.url, "/api/v1/query", map[string][]string{"query": {"live[20m]"}, "time": {fmt.Sprint(base/1000 + 600)}})
		if err != nil || len(got.series) != 1 {
			return nil, fmt.Errorf("%d series, %w", len(got.series), err)
		}
		for _, p := range got.series[0].points {
			v, err := strconv.Atoi(p.value)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return values, nil
	}
	check := func() error {
		values, err := seen()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		rest := acked[len(acked)-min(len(acked), len(values)):]
		if fmt.Sprint(values) != fmt.Sprint(rest) {
			return fmt.Errorf("got %v, the last that were written are %v", values, rest)
		}
		if first := len(acked) - len(values); first < before || first > done {
			return fmt.Errorf("erased are %d samples, there were %d before and %d after it", first, before, done)
		}
		return nil
	}
	eventually(t, time.Minute, "the rest without a hole", check)
	redis.Restart()
	awaitErasure(t, n.url, db.ErasureDone, "")
	eventually(t, time.Minute, "the rest when all is done", check)
	values, err := seen()
	if err != nil {
		t.Fatal(err)
	}
	n.Interrupt()
	command(t, true, []string{"replay", "--storage.path=" + data}, "100.0%")
	n = start(t, "all", data)
	eventually(t, time.Minute, "the same after a replay", check)
	if again, err := seen(); err != nil || fmt.Sprint(again) != fmt.Sprint(values) {
		t.Errorf("after a replay there are %v, %v, before it %v", again, err, values)
	}

	// Without its database the process goes on, but nothing is replayed.
	n.Interrupt()
	if err := os.Remove(filepath.Join(data, db.File)); err != nil {
		t.Fatal(err)
	}
	n = start(t, "all", data)
	eventually(t, time.Minute, "the same without the database", check)
	n.Interrupt()
	command(t, false, []string{"replay", "--storage.path=" + data}, "does not know the erasure")
}

// awaitErasure waits until the newest erasure is in a state, with such a progress.
func awaitErasure(t *testing.T, server, state, progress string) {
	t.Helper()
	eventually(t, time.Minute, "an erasure to be "+state, func() error {
		var all []db.Erasure
		administer(t, "GET", server, "/erasures", "", &all)
		if len(all) == 0 || all[0].State != state || !strings.Contains(all[0].Progress, progress) {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
}
