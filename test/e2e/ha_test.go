package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

const (
	haFailover = 8 * time.Second
	haScrape   = time.Second

	// haSlack is what a busy machine may add to a gap.
	haSlack = 8 * time.Second
)

// haSeries has another value in each scrape of each Prometheus, which tells whose sample it is.
const haSeries = `scrape_duration_seconds{job="node"}`

// replica is a Prometheus of an HA pair.
type replica struct {
	*testenv.Process
	name, url string
}

// startReplica starts a Prometheus that scrapes what the other one scrapes, and writes to one receiver.
func startReplica(t *testing.T, name, exporter, receiver string) *replica {
	t.Helper()
	dir, address := t.TempDir(), testenv.FreeAddress(t)
	config := fmt.Sprintf(`
global:
  scrape_interval: %v
  external_labels: {cluster: pair, __replica__: %s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["%s"]}]
remote_write:
  - url: %s/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    queue_config: {batch_send_deadline: 500ms}
`, haScrape, name, exporter, receiver)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p := testenv.StartProcess(t, dir, testenv.GetSenders(t).Prometheus, "--config.file="+file,
		"--web.listen-address="+address, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"))
	r := &replica{p, name, "http://" + address}
	testenv.WaitOK(t, p, r.url+"/-/ready", time.Minute)
	return r
}

// haSamples returns the samples of haSeries that a server has, each as time and value, and the times in seconds.
func haSamples(server string) (samples []string, times []float64, _ error) {
	got, err := instant(server, haSeries+"[10m]", float64(time.Now().UnixMilli())/1000)
	if err != nil {
		return nil, nil, err
	}
	if len(got.series) != 1 {
		return nil, nil, fmt.Errorf("%d series, want 1", len(got.series))
	}
	for _, p := range got.series[0].points {
		samples = append(samples, seconds(p.time)+" "+p.value)
		times = append(times, p.time)
	}
	return samples, times, nil
}

// elected returns the replica that a receiver says is elected.
func elected(receiver string) (string, error) {
	var data struct {
		Clusters []struct{ Cluster, Replica string }
	}
	if err := ask(receiver, "/api/v1/status/ha", nil, &data); err != nil {
		return "", err
	}
	if len(data.Clusters) != 1 || data.Clusters[0].Cluster != "pair" {
		return "", fmt.Errorf("%s knows the clusters %+v", receiver, data.Clusters)
	}
	return data.Clusters[0].Replica, nil
}

// metricSum adds up the samples of a metric that a process shows.
func metricSum(server, name string) (sum float64, _ error) {
	resp, err := http.Get(server + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, lines.Err()
}

// TestHAPair runs two Prometheus servers that scrape the same, each with a receiver of its own, over real Kafka and
// Redis. One is listened to; when it is killed the other one takes over, once; and Redis may go away.
func TestHAPair(t *testing.T) {
	t.Parallel()
	kafka, redis := testenv.StartKafka(t), testenv.StartRedis(t)
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	config := fmt.Sprintf("remote_write: {ha: {enabled: true, failover_timeout: %v}}\nredis: {address: '%s'}\n", haFailover, redis.Address)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=ha", "--clickhouse.dsn=" + clickhouse(t), "--config.file=" + file}
	exporter := testenv.FreeAddress(t)
	testenv.StartProcess(t, t.TempDir(), testenv.GetSenders(t).NodeExporter, "--no-collector.systemd", "--web.listen-address="+exporter)
	receivers := []string{start(t, "receiver", t.TempDir(), shared...).url, start(t, "receiver", t.TempDir(), shared...).url}
	start(t, "consumer", t.TempDir(), shared...)
	querier := start(t, "querier", t.TempDir(), shared...).url
	replicas := []*replica{startReplica(t, "a", exporter, receivers[0]), startReplica(t, "b", exporter, receivers[1])}

	first, second := agreed(t, receivers, replicas)
	atLeast(t, querier, 8)
	before, _, err := haSamples(first.url)
	if err != nil {
		t.Fatal(err)
	}
	first.Kill()
	eventually(t, time.Minute, "the other replica to be elected", func() error { return bothElect(receivers, second.name) })
	stored, _, err := haSamples(querier)
	if err != nil {
		t.Fatal(err)
	}
	atLeast(t, querier, len(stored)+4)
	checkPair(t, querier, before, second)

	redis.Kill()
	stored, _, err = haSamples(querier)
	if err != nil {
		t.Fatal(err)
	}
	atLeast(t, querier, len(stored)+4)
	redis.Restart()
	third := startReplica(t, "c", exporter, receivers[0])
	eventually(t, time.Minute, "the third replica to be heard and dropped", func() error {
		n, err := metricSum(third.url, "prometheus_remote_storage_samples_total")
		if err == nil && n == 0 {
			err = fmt.Errorf("nothing was sent")
		}
		return err
	})
	if err := bothElect(receivers, second.name); err != nil {
		t.Error(err)
	}
	checkPair(t, querier, before, second)
}

// agreed waits until both replicas write and both receivers say which is elected, and returns that one and the other.
func agreed(t *testing.T, receivers []string, replicas []*replica) (first, second *replica) {
	t.Helper()
	eventually(t, time.Minute, "both replicas to write and one to be elected", func() error {
		name, err := elected(receivers[0])
		if err != nil {
			return err
		}
		dropped := 0.0
		for _, r := range receivers {
			n, err := metricSum(r, "metricstream_remote_write_deduplicated_total")
			if err != nil {
				return err
			}
			dropped += n
		}
		if dropped == 0 {
			return fmt.Errorf("no duplicates yet")
		}
		first, second = replicas[0], replicas[1]
		if name == second.name {
			first, second = second, first
		}
		return bothElect(receivers, first.name)
	})
	return first, second
}

func bothElect(receivers []string, want string) error {
	for _, r := range receivers {
		if name, err := elected(r); err != nil || name != want {
			return fmt.Errorf("%s says %q, want %q: %v", r, name, want, err)
		}
	}
	return nil
}

// atLeast waits until a server has this many samples of haSeries.
func atLeast(t *testing.T, server string, n int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%d samples", n), func() error {
		samples, _, err := haSamples(server)
		if err == nil && len(samples) < n {
			err = fmt.Errorf("there are %d samples", len(samples))
		}
		return err
	})
}

// checkPair checks that what is stored is a run of samples of the first replica without a hole, a gap of at most the
// fail-over and a scrape, and a run of the second one's without a hole. before is what the first one had shortly
// before it ended.
func checkPair(t *testing.T, querier string, before []string, second *replica) {
	t.Helper()
	stored, times, err := haSamples(querier)
	if err != nil {
		t.Fatal(err)
	}
	its, _, err := haSamples(second.url)
	if err != nil {
		t.Fatal(err)
	}
	ofSecond := map[string]bool{}
	for _, s := range its {
		ofSecond[s] = true
	}
	change := len(stored)
	for i, s := range stored {
		if ofSecond[s] {
			change = min(change, i)
		} else if i > change {
			t.Errorf("sample %d of %d, %s, is not the second replica's, whose first is %d", i, len(stored), s, change)
		}
	}
	if change == 0 || change == len(stored) {
		t.Fatalf("the first of %d samples of the second replica is %d", len(stored), change)
	}
	gap := times[change] - times[change-1]
	if limit := (haFailover + haScrape + haSlack).Seconds(); gap > limit {
		t.Errorf("a gap of %.1f s, at most %.1f s are allowed", gap, limit)
	}
	checkRun(t, "first", stored[:change], before)
	checkRun(t, "second", stored[change:], its)
	t.Logf("%d samples of the first replica, a gap of %.1f s, %d of the second", change, gap, len(stored)-change)

	at := times[len(times)-1]
	for expr, want := range map[string]string{
		`count(` + haSeries + `)`: "1", `sum(up)`: "1", `count({__replica__!=""})`: "", `count(up{cluster="pair"})`: "1",
		`count_over_time(` + haSeries + `[10m])`: strconv.Itoa(len(stored)),
	} {
		got, err := instant(querier, expr, at)
		value := ""
		if err == nil && len(got.series) == 1 {
			value = got.series[0].points[0].value
		}
		if err != nil || value != want {
			t.Errorf("%s: %q, want %q: %v", expr, value, want, err)
		}
	}
	for _, name := range []string{"prometheus_remote_storage_samples_failed_total", "prometheus_remote_storage_samples_retried_total"} {
		if n, err := metricSum(second.url, name); err != nil || n != 0 {
			t.Errorf("%s of the second replica is %v, %v", name, n, err)
		}
	}
}

// checkRun checks that a replica's stored samples have no hole: those that the replica has between the first and the last
// of them are all there.
func checkRun(t *testing.T, who string, stored, has []string) {
	t.Helper()
	place := map[string]int{}
	for i, s := range stored {
		place[s] = i
	}
	next, missing := -1, 0
	for _, s := range has {
		i, ok := place[s]
		switch {
		case ok && next >= 0 && i != next:
			t.Errorf("the %s replica's sample %s is stored as %d, want %d", who, s, i, next)
		case ok:
			next = i + 1
		case next >= 0 && next < len(stored):
			missing++
		}
	}
	if next < 0 || missing > 0 {
		t.Errorf("of the %s replica's samples %d are missing (%d stored, it has %d)", who, missing, len(stored), len(has))
	}
}
