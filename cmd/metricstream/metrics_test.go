package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/web"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/tenant/auth"
)

// TestMain also lets this binary host the embedded engine, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == engine.Subcommand {
		exit(engine.Host(os.Args[2:]))
	}
	testenv.Main(m)
}

// metricsPage is the page with all metrics, for people and for the tests of dashboards and alerts.
const metricsPage = "../../deployments/METRICS.md"

// recorder is a registry that remembers what was registered: a vector without children is not gathered.
type recorder struct {
	*prometheus.Registry
	collectors []prometheus.Collector
}

func (r *recorder) Register(c prometheus.Collector) error {
	err := r.Registry.Register(c)
	if err == nil {
		r.collectors = append(r.collectors, c)
	}
	return err
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// metric is a line of the page.
type metric struct {
	name, kind, help string
	labels, roles    []string
}

var descText = regexp.MustCompile(`^Desc\{fqName: (".*?"), help: (".*"), unit: ".*?", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// metrics returns what is registered.
func (r *recorder) metrics(t *testing.T) map[string]metric {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	all := map[string]metric{}
	for _, c := range r.collectors {
		descs := make(chan *prometheus.Desc, 1000)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := parseDesc(t, d.String())
			if m.kind = kinds[m.name]; m.kind == "" {
				m.kind = kindOf(c, m.name)
			}
			all[m.name] = m
		}
	}
	return all
}

func parseDesc(t *testing.T, text string) metric {
	t.Helper()
	parts := descText.FindStringSubmatch(text)
	if parts == nil {
		t.Fatalf("cannot read %s", text)
	}
	name, nameErr := strconv.Unquote(parts[1])
	help, helpErr := strconv.Unquote(parts[2])
	if nameErr != nil || helpErr != nil {
		t.Fatalf("cannot read %s", text)
	}
	m := metric{name: name, help: help}
	for pair := range strings.SplitSeq(parts[3], ",") {
		if label, _, ok := strings.Cut(pair, "="); ok {
			m.labels = append(m.labels, label)
		}
	}
	for label := range strings.SplitSeq(parts[4], ",") {
		if label != "" {
			m.labels = append(m.labels, label)
		}
	}
	return m
}

// kindOf tells the kind of a metric that has no values yet. What is made by hand, metric by metric, follows its name.
func kindOf(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	case *prometheus.SummaryVec:
		return "summary"
	}
	if strings.HasSuffix(name, "_total") {
		return "counter"
	}
	return "gauge"
}

// surroundings are what the roles of a cluster find there.
type surroundings struct{ kafka, clickhouse, postgres string }

// rolesMetrics builds each role as the program does, and returns the metrics of all, by name.
func rolesMetrics(t *testing.T) map[string]metric {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	around := surroundings{cluster.ListenAddrs()[0], testenv.StartEngine(t), testenv.StartPostgres(t).NewDatabase("metrics")}
	all := map[string]metric{}
	for _, r := range roles {
		for name, m := range roleMetrics(t, r, around) {
			m.roles = append(all[name].roles, r.name)
			all[name] = m
		}
	}
	return all
}

// configOf is a configuration in which a role has everything that it can have.
func configOf(t *testing.T, r role, around surroundings) config.Config {
	c := config.Default()
	c.Auth.Enabled, c.Storage.Path, c.Web.ListenAddress = true, t.TempDir(), "127.0.0.1:0"
	c.Web.ConfigFile = testenv.NewAuthority(t).WebConfig(t)
	c.RemoteWrite.HA.Enabled = true
	c.Redis.Address = "127.0.0.1:1" // nobody is there, which does not matter
	if !r.embeds() {
		c.Kafka.Brokers, c.ClickHouse.DSN, c.Metadata.DSN = []string{around.kafka}, around.clickhouse, around.postgres
	}
	return c
}

func roleMetrics(t *testing.T, r role, around surroundings) map[string]metric {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := configOf(t, r, around)
	registry := &recorder{Registry: prometheus.NewRegistry()}
	registerProcess(registry)
	logger := slog.New(slog.DiscardHandler)
	n := &node{
		role: r, config: c, flags: &flags{}, logger: logger, registry: registry, stack: lifecycle.New(logger),
		parts: parts{policies: retention.NewPolicies(c.Retention)},
	}
	n.guard = auth.New(c.Auth, auth.Options{Registerer: n.registry})
	n.mux = web.NewRouter(n.guard)
	defer func() {
		if err := n.stack.Stop(stopTimeout); err != nil {
			t.Error(err)
		}
	}()
	if _, err := n.build(ctx); err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	return registry.metrics(t)
}

// foreign are metrics that others named, so that their names and texts are theirs.
func foreign(name string) bool {
	return !strings.HasPrefix(name, "metricstream_") || strings.HasPrefix(name, "metricstream_prometheus_engine_")
}

// TestMetricsPage holds the page of all metrics against what the roles really register.
func TestMetricsPage(t *testing.T) {
	all := rolesMetrics(t)
	lint(t, all)
	got := page(all)
	if *update {
		if err := os.WriteFile(filepath.FromSlash(metricsPage), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.FromSlash(metricsPage))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("deployments/METRICS.md is not what the program has; run `make metrics` and commit the page:\n%s", d)
	}
}

// lint checks names and texts by Prometheus' own rules. Each metric is given a value, because those rules look at values.
func lint(t *testing.T, all map[string]metric) {
	t.Helper()
	var families []*dto.MetricFamily
	for name, m := range all {
		if foreign(name) {
			continue
		}
		if !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: its help is not a sentence: %q", name, m.help)
		}
		kind := dto.MetricType(dto.MetricType_value[strings.ToUpper(m.kind)])
		one := &dto.Metric{}
		for _, label := range m.labels {
			one.Label = append(one.Label, &dto.LabelPair{Name: &label})
		}
		families = append(families, &dto.MetricFamily{Name: &name, Help: &m.help, Type: &kind, Metric: []*dto.Metric{one}})
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Metric == "metricstream_rollup_hours_total" {
			continue // it counts hours, and is no duration
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

const pageHead = `# Metrics

Every metric that MetricStream shows at ` + "`GET /metrics`" + `, made from what the roles register by ` + "`make metrics`" + `; a test fails while it is not true.
Roles are those that can have the metric: some have it only with a part that is configured, such as the embedded log or Redis. Histograms have the series
` + "`_bucket`, `_sum` and `_count`" + ` under their name.
`

// page writes the page: a table for each part of the program.
func page(all map[string]metric) string {
	byPart := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, "go_") { // client_golang's, which differ from one Go to the next
			byPart[partOf(name)] = append(byPart[partOf(name)], name)
		}
	}
	var b strings.Builder
	b.WriteString(pageHead)
	for _, part := range slices.Sorted(maps.Keys(byPart)) {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | roles | what it says |\n|---|---|---|---|---|\n", part)
		for _, name := range byPart[part] {
			m := all[name]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, m.kind, code(m.labels), strings.Join(m.roles, ", "), strings.NewReplacer("|", `\|`, "<", `\<`).Replace(m.help))
		}
	}
	return b.String()
}

func code(names []string) string {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, "`"+n+"`")
	}
	return strings.Join(quoted, ", ")
}

// partNames are the parts of the program that have another name than the first word of their metrics; the first prefix
// that fits counts.
var partNames = []struct{ prefix, name string }{
	{"metricstream_prometheus_engine_", "PromQL engine"},
	{"metricstream_remote_write_", "Receiver"},
	{"metricstream_query_cache_", "Cache of answers"},
	{"metricstream_query_queue_", "Queue of queries"},
	{"metricstream_clickhouse_", "ClickHouse"},
	{"metricstream_engine_", "Embedded ClickHouse engine"},
	{"metricstream_log_", "Embedded log"},
	{"metricstream_strong_", "Strong reads"},
	{"metricstream_erasure", "Erasures"},
	{"metricstream_api_", "Query API"},
	{"metricstream_pii_", "Personal data"},
	{"metricstream_ha_", "Replicas of senders"},
	{"metricstream_build_info", "Process"},
	{"process_", "Process"},
	{"promhttp_", "Process"},
}

func partOf(name string) string {
	for _, p := range partNames {
		if strings.HasPrefix(name, p.prefix) {
			return p.name
		}
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(name, "metricstream_"), "_")
	return strings.ToUpper(word[:1]) + word[1:]
}
