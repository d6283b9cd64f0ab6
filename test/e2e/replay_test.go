package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestReplayOnKafka fills ClickHouse by replays alone: no consumer runs. The first fills a part, the second all, and
// the third changes nothing.
func TestReplayOnKafka(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=replay", "--clickhouse.dsn=" + clickhouse(t)}
	receiver := start(t, "receiver", t.TempDir(), shared...)
	querier := start(t, "querier", t.TempDir(), shared...)
	now := time.Now().UnixMilli()
	for i := range int64(10) {
		if code := postSamples(receiver.url, "", now-i*1000, float64(i), 20, map[string]string{"__name__": "replayed"}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
	replay := append([]string{"replay"}, shared...)
	command(t, true, append(replay, "--from=newest"), "replaying 0 records", "0 records with 0 rows replayed")
	if err := count(querier.url, "replayed", now, 0); err != nil {
		t.Fatal(err)
	}
	command(t, true, append(replay, "--from=1h", "--to="+time.UnixMilli(now).Add(time.Hour).UTC().Format(time.RFC3339)), "100.0%", "left out: 0 unreadable, 0 refused")
	for range 2 {
		if err := count(querier.url, "count_over_time(replayed[1m]) == 10", now, 20); err != nil {
			t.Error(err)
		}
		if err := count(querier.url, "sum_over_time(replayed[1m]) == 45", now, 20); err != nil {
			t.Error(err)
		}
		command(t, true, replay, "100.0%", "left out: 0 unreadable, 0 refused")
	}
	command(t, false, append(replay, "--from=yesterday"), "--from: cannot read the position")
}

// TestReplayOfTheEmbeddedLog replays what a process has written, while it is stopped.
func TestReplayOfTheEmbeddedLog(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	now := time.Now().UnixMilli()
	for i := range int64(5) {
		if code := postSamples(n.url, "", now-i*1000, 1, 5, map[string]string{"__name__": "replayed"}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
	replay := []string{"replay", "--storage.path=" + data}
	command(t, false, replay, "stop it first")
	n.Interrupt()
	command(t, true, replay, "100.0%", "left out: 0 unreadable, 0 refused")
	n = start(t, "all", data)
	eventually(t, time.Minute, "every sample once", func() error {
		body, err := getAs(n.url+"/api/v1/query?query=sum(count_over_time(replayed[1m]))&time="+seconds(float64(now)/1000), "")
		if err == nil && !strings.Contains(body, `"25"`) {
			err = fmt.Errorf("got %s", body)
		}
		return err
	})
}
