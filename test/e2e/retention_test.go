package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

// TestRetentionOfTenants: of two tenants that have the same samples, of three days ago and of now, the one whose retention
// becomes a day keeps what is new, the other has all. Both are told so.
func TestRetentionOfTenants(t *testing.T) {
	t.Parallel()
	data, dsn := filepath.Join(t.TempDir(), "data"), clickhouse(t)
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	configure := func(raw, maxAge string) {
		t.Helper()
		text := fmt.Sprintf("retention: {classes: {1: {raw: %s, 1m: 0s, 1h: 0s, tenants: [short]}}}\nremote_write: {max_age: %s}\n", raw, maxAge)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("7d", "168h")
	flags := []string{"--config.file=" + file, "--clickhouse.dsn=" + dsn}
	n := start(t, "all", data, flags...)
	now := time.Now().UnixMilli()
	old := now - 72*hourMs
	for _, tenant := range []string{"short", "long"} {
		for _, at := range []int64{old, now} {
			if code := postSamples(n.url, tenant, at, 1, 1, map[string]string{"__name__": "retained"}); code != http.StatusNoContent {
				t.Fatalf("write answered %d", code)
			}
		}
	}
	tables := openTables(t, dsn)
	left := func(tenant string, at int64) uint64 {
		k := store.KeyOf(tenant, labels.FromStrings("__name__", "retained", "i", "0"))
		return tables.count(fmt.Sprintf("SELECT count() FROM samples WHERE metric = %d AND id = %d AND ts = %d", k.Metric, k.ID, at))
	}
	eventually(t, time.Minute, "the samples", func() error {
		if got := []uint64{left("short", old), left("short", now), left("long", old), left("long", now)}; fmt.Sprint(got) != "[1 1 1 1]" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	if err := n.Interrupt(); err != nil {
		t.Fatal(err)
	}
	configure("1d", "24h")
	n = start(t, "all", data, flags...) // sweeps at once
	eventually(t, time.Minute, "the old sample to go", func() error {
		if got := []uint64{left("short", old), left("short", now), left("long", old), left("long", now)}; fmt.Sprint(got) != "[0 1 1 1]" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	for tenant, want := range map[string]string{"short": `"class":1,"tiers":[{"tier":"raw","keep":"1d"`, "long": `"class":0,"tiers":[{"tier":"raw","keep":"1w"`} {
		if text, err := getAs(n.url+"/api/v1/status/retention", tenant); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %s, %v", tenant, text, err)
		}
		text, err := getAs(fmt.Sprintf("%s/api/v1/query?query=count_over_time(retained[4d])&time=%d", n.url, now/1000+1), tenant)
		points := map[string]string{"short": `"1"]`, "long": `"2"]`}[tenant]
		if err != nil || !strings.Contains(text, points) {
			t.Errorf("%s: %s, %v", tenant, text, err)
		}
	}
}
