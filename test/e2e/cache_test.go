package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestRememberedAnswers has two processes that share tables and a Redis: one remembers what the other has computed, both notice a
// late sample, and both answer while Redis is away.
func TestRememberedAnswers(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	dsn, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = fmt.Sprintf("/remembered_%d", time.Now().UnixNano())
	file := filepath.Join(t.TempDir(), "redis.yml")
	if err := os.WriteFile(file, []byte("redis: {address: "+server.Address+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--clickhouse.dsn=" + dsn.String(), "--config.file=" + file}
	first := start(t, "all", filepath.Join(t.TempDir(), "data"), flags...)
	second := start(t, "querier", filepath.Join(t.TempDir(), "data"), flags...)

	now := time.Now().UnixMilli()
	labels := map[string]string{"__name__": "remembered"}
	for at := now - 2*3_600_000; at < now; at += 60_000 {
		if code := postSamples(first.url, "", at, float64(at/60_000%97), 3, labels); code != http.StatusNoContent {
			t.Fatalf("status %d", code)
		}
	}
	params := url.Values{"query": {"sum(remembered)"}, "step": {"30"}, "start": {seconds(float64(now)/1000 - 6600)}, "end": {seconds(float64(now)/1000 - 1800)}}
	path := "/api/v1/query_range?" + params.Encode()
	_, truth := request(t, first.url+path, "X-Read-Consistency", "strong")
	same := func(want string) error {
		for i, n := range []*node{first, second} {
			if _, body := request(t, n.url+path); body != want {
				return fmt.Errorf("process %d: %s\nwant %s", i, body, want)
			}
		}
		return nil
	}
	explained := func(n *node, want string, headers ...string) {
		t.Helper()
		if _, body := request(t, n.url+path+"&explain=1", headers...); !strings.Contains(body, want) {
			t.Errorf("%s: want %s", body[strings.Index(body, `"explain"`):], want)
		}
	}
	explained(first, `"cache":{"result":"miss","steps":161,"remembered":0}`)
	explained(first, `"cache":{"result":"hit","steps":161,"remembered":161}`)
	explained(second, `"cache":{"result":"hit","steps":161,"remembered":161}`)
	explained(first, `"cache":{"result":"bypass","why":"a strong read"`, "X-Read-Consistency", "strong")
	explained(first, `"cache":{"result":"bypass","why":"Cache-Control"`, "Cache-Control", "no-store")
	if err := same(truth); err != nil {
		t.Error(err)
	}

	if code := postSamples(first.url, "", now-3_590_000, 7_000_000, 1, labels); code != http.StatusNoContent {
		t.Fatalf("status %d", code)
	}
	_, changed := request(t, first.url+path, "X-Read-Consistency", "strong")
	if changed == truth || !strings.Contains(changed, `"7000`) {
		t.Errorf("the late sample is not there: %s", changed)
	}
	eventually(t, 30*time.Second, "both have the late sample", func() error { return same(changed) })
	explained(second, `"remembered":161`)

	eventually(t, 30*time.Second, "one answers what the other has evaluated", func() error {
		newest := "/api/v1/query?query=" + url.QueryEscape(fmt.Sprintf("sum(remembered) + %d", time.Now().UnixNano()%1e6))
		_, want := request(t, first.url+newest)
		_, body := request(t, second.url+newest+"&explain=1")
		if err := contains(body, `"cache":{"result":"hit"`); err != nil {
			return err
		}
		return contains(want, body[strings.Index(body, `"result":[`):strings.Index(body, `,"explain"`)])
	})
	server.Kill()
	if err := same(changed); err != nil {
		t.Errorf("without Redis: %v", err)
	}
	server.Restart()
	eventually(t, 30*time.Second, "Redis is used again", func() error {
		params.Set("query", fmt.Sprintf("sum(remembered) + %d", time.Now().UnixNano()%1e6)) // something new to remember
		path = "/api/v1/query_range?" + params.Encode()
		request(t, first.url+path)
		body, err := getAs(second.url+path+"&explain=1", "")
		if err == nil {
			err = contains(body, `"result":"hit"`)
		}
		return err
	})
	metrics, err := getAs(second.url+"/metrics", "")
	if err == nil {
		err = contains(metrics, `metricstream_query_cache_blocks_total{result="redis"}`)
	}
	if err != nil {
		t.Error(err)
	}
}
