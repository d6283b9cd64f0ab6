package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// sender is a Prometheus that scrapes itself and a node exporter every second and writes to MetricStream.
type sender struct {
	*testenv.Process
	url string
}

const scrapeConfig = `
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: prometheus%[3]s
    static_configs: [{targets: ["%[1]s"]}]
  - job_name: node
    static_configs: [{targets: ["%[2]s"]}]
remote_write:
`

const remoteWriteConfig = `
  - url: %s/api/v1/write
    %s
    queue_config: {batch_send_deadline: 500ms}
    metadata_config: {send: true, send_interval: 2s}
`

// startSender starts a Prometheus of Remote Write 1.0 (Debian's) or 2.0 (the module's) that writes everything to each of the
// receivers.
func startSender(t *testing.T, version2 bool, receivers ...string) *sender {
	t.Helper()
	programs := testenv.GetSenders(t)
	exporter := testenv.FreeAddress(t)
	dir := t.TempDir()
	testenv.StartProcess(t, dir, programs.NodeExporter, "--no-collector.systemd", "--web.listen-address="+exporter)

	address := testenv.FreeAddress(t)
	program, scrapeExtra, writeExtra := programs.DebianPrometheus, "", "send_exemplars: true"
	if version2 {
		program = programs.Prometheus
		scrapeExtra = "\n    scrape_native_histograms: true\n    always_scrape_classic_histograms: true"
		writeExtra = "protobuf_message: io.prometheus.write.v2.Request\n    send_native_histograms: true\n    send_exemplars: true"
	}
	config := fmt.Sprintf(scrapeConfig, address, exporter, scrapeExtra)
	for _, r := range receivers {
		config += fmt.Sprintf(remoteWriteConfig, r, writeExtra)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	features := "--enable-feature=exemplar-storage"
	p := testenv.StartProcess(t, dir, program, "--config.file="+file, "--web.listen-address="+address,
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"), features)
	url := "http://" + address
	testenv.WaitOK(t, p, url+"/-/ready", time.Minute)
	return &sender{p, url}
}

// visible waits until a server has the newest sample of `up` that Prometheus had at the call.
func visible(t *testing.T, prometheus, server string) {
	t.Helper()
	now := float64(time.Now().UnixMilli()) / 1000
	want, err := instant(prometheus, `max(timestamp(up))`, now)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the newest samples at "+server, func() error {
		got, err := instant(server, `max(timestamp(up))`, now)
		if err != nil {
			return err
		}
		if d := difference(got, want); d != "" {
			return fmt.Errorf("%s", d)
		}
		return nil
	})
}

// compare asks both servers all expressions about the seconds that both have seen.
func compare(t *testing.T, prometheus, server string, table []string) {
	t.Helper()
	visible(t, prometheus, server)
	// Half a second away from every scrape, so that no sample lies on the edge of a window: Prometheus 2 and 3
	// differ there.
	newest, err := instant(prometheus, `max(timestamp(up{job="prometheus"}))`, float64(time.Now().UnixMilli())/1000)
	if err != nil || len(newest.series) != 1 {
		t.Fatalf("cannot learn when Prometheus scraped: %v %v", newest, err)
	}
	var at float64
	fmt.Sscan(newest.series[0].points[0].value, &at)
	at -= 2.617
	empty := 0
	for _, expr := range table {
		want, err := instant(prometheus, expr, at)
		if err != nil {
			t.Errorf("Prometheus: %s: %v", expr, err)
			continue
		}
		if len(want.series) == 0 {
			empty++
		}
		got, err := instant(server, expr, at)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		} else if d := difference(got, want); d != "" {
			t.Errorf("%s at %v: %s", expr, at, d)
		}
		want, err = ranged(prometheus, expr, at-40, at, 5)
		if err != nil {
			t.Errorf("Prometheus: %s: %v", expr, err)
			continue
		}
		got, err = ranged(server, expr, at-40, at, 5)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		} else if d := difference(got, want); d != "" {
			t.Errorf("%s from %v to %v: %s", expr, at-40, at, d)
		}
	}
	if empty > len(table)/4 {
		t.Errorf("%d of %d expressions had no result: the comparison says little", empty, len(table))
	}
	t.Logf("compared %d expressions, instant and range; %d had no result", len(table), empty)
}

// scrapeFor is how long Prometheus scrapes before the answers are compared, which look back 73 s at most. A
// Prometheus sends nothing of its first seconds, until it has replayed its own log.
const scrapeFor = 95 * time.Second

func TestPrometheus1(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	s := startSender(t, false, n.url)
	time.Sleep(scrapeFor)
	compare(t, s.url, n.url, expressions)
}

func TestPrometheus2(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	s := startSender(t, true, n.url)
	time.Sleep(scrapeFor)
	compare(t, s.url, n.url, append(expressions, newExpressions...))
}
