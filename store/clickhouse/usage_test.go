package clickhouse_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// gauges are the values of all gauges that a registry gathers, by name and the first label.
func gauges(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			if len(m.Label) > 0 {
				name += " " + m.Label[0].GetValue()
			}
			values[name] = m.GetGauge().GetValue()
		}
	}
	return values
}

func TestUsage(t *testing.T) {
	r := prometheus.NewRegistry()
	s, err := clickhouse.Open(context.Background(), configOf(t), clickhouse.Options{Registerer: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	write(t, s, batchOf("t", 0, labels.FromStrings("__name__", "m")))
	got := gauges(t, r)
	if got["metricstream_clickhouse_up"] != 1 || got["metricstream_clickhouse_table_rows samples"] != 1 || got["metricstream_clickhouse_table_parts samples"] != 1 ||
		got["metricstream_clickhouse_table_bytes samples"] <= 0 {
		t.Errorf("got %v", got)
	}
	if free, size := got["metricstream_clickhouse_disk_free_bytes default"], got["metricstream_clickhouse_disk_size_bytes default"]; free <= 0 || size < free {
		t.Errorf("the disk has %v of %v", free, size)
	}
}

// TestUsageOfADeadServer: a scrape says so, and does not fail.
func TestUsageOfADeadServer(t *testing.T) {
	e := testenv.StartOwnEngine(t, "")
	u, err := url.Parse(e.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	r := prometheus.NewRegistry()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{Registerer: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e.Close()
	got := gauges(t, r)
	if up, asked := got["metricstream_clickhouse_up"]; !asked || up != 0 {
		t.Errorf("got %v", got)
	}
}
