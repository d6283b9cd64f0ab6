package api_test

import (
	"testing"
	"time"

	client "github.com/prometheus/client_golang/api"
	clientv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
)

// TestGoClient calls everything that Prometheus' Go client can, with the times that it sends for "all time".
func TestGoClient(t *testing.T) {
	m := copied(t, loaded(t, fixture), store.DefaultTenant)
	server := serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) })
	c, err := client.NewClient(client.Config{Address: server.URL + "/prometheus"})
	if err != nil {
		t.Fatal(err)
	}
	v1, ctx := clientv1.NewAPI(c), t.Context()
	at := time.Unix(600, 0)
	minTime := time.Unix(-1<<63/1000+62135596801, 0).UTC()
	maxTime := time.Unix((1<<63-1)/1000-62135596801, 999999999).UTC()

	check := func(name string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	value, _, _, err := v1.Query(ctx, "latency + 0 * up", at, clientv1.WithTimeout(time.Minute), clientv1.WithLimit(3))
	check("query", value != nil, err)
	value, _, _, err = v1.Query(ctx, "latency", at)
	vector, _ := value.(model.Vector)
	check("query of histograms", len(vector) == 3 && vector[0].Histogram != nil, err)
	value, _, _, err = v1.QueryRange(ctx, "up", clientv1.Range{Start: at, End: at.Add(time.Minute), Step: time.Second})
	matrix, _ := value.(model.Matrix)
	check("query_range", len(matrix) == 2 && len(matrix[0].Values) == 61, err)
	names, _, _, err := v1.LabelNames(ctx, nil, minTime, maxTime)
	check("labels", len(names) == 5, err)
	values, _, _, err := v1.LabelValues(ctx, "job", []string{"up"}, minTime, maxTime, clientv1.WithLimit(9))
	check("label values", len(values) == 1, err)
	series, _, _, err := v1.Series(ctx, []string{"up", "latency"}, minTime, maxTime)
	check("series", len(series) == 5, err)
	_, err = v1.QueryExemplars(ctx, "up", minTime, maxTime)
	check("query_exemplars", true, err)
	_, err = v1.Metadata(ctx, "", "10")
	check("metadata", true, err)
	_, err = v1.Rules(ctx, nil)
	check("rules", true, err)
	_, err = v1.Alerts(ctx)
	check("alerts", true, err)
	_, err = v1.AlertManagers(ctx)
	check("alertmanagers", true, err)
	_, err = v1.Targets(ctx)
	check("targets", true, err)
	_, err = v1.TargetsMetadata(ctx, "", "", "")
	check("targets/metadata", true, err)
	_, err = v1.Buildinfo(ctx)
	check("buildinfo", true, err)
	_, err = v1.Runtimeinfo(ctx)
	check("runtimeinfo", true, err)
	_, err = v1.Flags(ctx)
	check("flags", true, err)
	_, err = v1.Config(ctx)
	check("config", true, err)
	_, err = v1.TSDB(ctx)
	check("tsdb", true, err)
	_, err = v1.TSDBBlocks(ctx)
	check("tsdb/blocks", true, err)
	formatted, err := v1.FormatQuery(ctx, "sum( up )")
	check("format_query", formatted == `"sum(up)"`, err)
	_, err = v1.WalReplay(ctx)
	check("walreplay", true, err)
}
