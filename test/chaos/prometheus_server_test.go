package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// prometheusConfig scrapes every second, and sends with the settings that a Prometheus has by default.
const prometheusConfig = `
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: prometheus
    scrape_native_histograms: true
    always_scrape_classic_histograms: true
    static_configs: [{targets: ["%[1]s"]}]
  - job_name: node
    static_configs: [{targets: ["%[2]s"]}]
remote_write:
  - url: %[3]s/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    send_native_histograms: true
`

// prometheus is a real server that scrapes itself and a node exporter, and writes to a receiver.
type prometheus struct {
	*testenv.Process
	url string
}

func startPrometheus(t *testing.T, receiver string) *prometheus {
	t.Helper()
	programs, dir := testenv.GetSenders(t), t.TempDir()
	address, exporter := testenv.FreeAddress(t), testenv.FreeAddress(t)
	testenv.StartProcess(t, dir, programs.NodeExporter, "--no-collector.systemd", "--web.listen-address="+exporter)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, prometheusConfig, address, exporter, receiver), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{url: "http://" + address}
	p.Process = testenv.StartProcess(t, dir, programs.Prometheus, "--config.file="+file, "--web.listen-address="+address,
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"))
	testenv.WaitOK(t, p.Process, p.url+"/-/ready", within)
	return p
}

// scraped is what a Prometheus scraped and sent: every series of its jobs.
const scraped = `{job=~"prometheus|node"}`

// counter returns the sum of one of the Prometheus' own counters, as it scraped it last.
func (p *prometheus) counter(t *testing.T, name string) float64 {
	t.Helper()
	v, err := number(p.url, "sum("+name+")", time.Now().UnixMilli())
	if err != nil {
		t.Fatalf("cannot ask Prometheus for %s: %v", name, err)
	}
	return v
}

// span is a stretch of time in ms, without its beginning, and with its end.
type span struct{ fromMs, toMs int64 }

func (s span) window() string { return fmt.Sprintf("[%dms]", s.toMs-s.fromMs) }

// pieces cuts a span into such as one answer may hold.
func (s span) pieces() []span {
	const piece = 60_000
	var out []span
	for from := s.fromMs; from < s.toMs; from += piece {
		out = append(out, span{from, min(from+piece, s.toMs)})
	}
	return out
}

// points are the samples that a server has of a span, as its JSON shows them, by series and time.
func points(server string, s span) (map[string][]string, error) {
	got, err := query(server, scraped+s.window(), s.toMs)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, r := range got {
		series, err := json.Marshal(r.Metric) // sorted by name
		if err != nil {
			return nil, err
		}
		for _, p := range append(r.Values, r.Histograms...) {
			at := string(series) + " at " + string(p[0])
			out[at] = append(out[at], string(p[1]))
		}
	}
	return out, nil
}

// awaitNewest waits until a server has every series' newest samples of the span. A series is sent in order, so that
// nothing of it comes later.
func (p *prometheus) awaitNewest(server string, s span, limit time.Duration) error {
	newest := "count(last_over_time(" + scraped + "[1500ms]))"
	want, err := number(p.url, newest, s.toMs)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(500 * time.Millisecond) {
		got, err := number(server, newest, s.toMs)
		if err == nil && got >= want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v of %v series after %v: %v", got, want, limit, err)
		}
	}
}

// compare compares each sample of the span that Prometheus has in its own database with those that the server has.
func (p *prometheus) compare(t *testing.T, server string, s span, row *row, complain func(string, ...any)) {
	t.Helper()
	for _, piece := range s.pieces() {
		want, err := points(p.url, piece)
		if err != nil {
			t.Fatalf("cannot ask Prometheus: %v", err)
		}
		got, err := points(server, piece)
		if err != nil {
			t.Fatalf("cannot ask MetricStream: %v", err)
		}
		for at, is := range got {
			if len(want[at]) == 0 {
				row.wrong++
				complain("%s is %v, and Prometheus has none", at, is)
			}
		}
		for at, was := range want {
			row.acked++
			switch is := got[at]; {
			case len(is) == 0:
				row.lost++
				complain("%s is lost", at)
			case len(is) > 1:
				row.doubled++
				complain("%s is there %d times", at, len(is))
			case is[0] != was[0]:
				row.wrong++
				complain("%s is %s, was %s", at, is[0], was[0])
			}
		}
	}
}

// everyNthMetric is of how many metrics compareTotals looks at one.
const everyNthMetric = 8

// compareTotals compares counts and sums of series over the whole of a span. Those functions drop the metric's name,
// so that only one metric can be asked for at a time.
func (p *prometheus) compareTotals(t *testing.T, server string, s span) {
	t.Helper()
	all, err := query(p.url, "group by (__name__) (last_over_time("+scraped+s.window()+"))", s.toMs)
	if err != nil || len(all) < 100 {
		t.Fatalf("Prometheus has %d metrics, there should be hundreds: %v", len(all), err)
	}
	complain := budget(t, 5)
	for i := 0; i < len(all); i += everyNthMetric {
		for _, function := range []string{"count_over_time", "sum_over_time"} {
			expr := function + "(" + all[i].Metric["__name__"] + scraped + s.window() + ")"
			want, err := vector(p.url, expr, s.toMs)
			if err != nil || len(want) == 0 {
				t.Fatalf("cannot ask Prometheus: %s: %d series: %v", expr, len(want), err)
			}
			got, err := vector(server, expr, s.toMs)
			if err != nil || len(got) != len(want) {
				complain("%s: %d series, Prometheus has %d: %v", expr, len(got), len(want), err)
			}
			for series, was := range want {
				if is := got[series]; is != was {
					complain("%s: %s is %s, was %s", expr, series, is, was)
				}
			}
		}
	}
}

// vector is what a server answers for an instant: the value by series, and nothing for a histogram.
func vector(server, expr string, atMs int64) (map[string]string, error) {
	got, err := query(server, expr, atMs)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range got {
		series, err := json.Marshal(r.Metric)
		if err != nil {
			return nil, err
		}
		out[string(series)] = strings.Trim(string(r.Value[1]), `"`)
	}
	return out, nil
}
