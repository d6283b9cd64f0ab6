package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestTLS writes by a Prometheus with a key and a client's certificate, and reads with both.
func TestTLS(t *testing.T) {
	t.Parallel()
	a := testenv.NewAuthority(t)
	n := launch(t, "all", t.TempDir(), "--auth.enabled", "--web.config.file="+a.WebConfig(t))
	address := strings.Replace(n.url, "http://", "https://", 1)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.Client(t)}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	get := func(url string) (string, error) {
		resp, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return string(body), err
	}
	eventually(t, readyWithin, "MetricStream to be ready", func() error { _, err := get(address + "/-/ready"); return err })
	operator := firstKey(t, n)
	certificates := []string{"--url=" + address, "--ca-file=" + filepath.Join(a.Dir, "ca.crt"), "--cert-file=" + filepath.Join(a.Dir, "client.crt"), "--cert-key-file=" + filepath.Join(a.Dir, "client.key")}
	key := keyCommand(t, nil, operator, append([]string{"key", "create", "--scope=read", "--scope=write"}, certificates...)...)

	dir, prometheus := t.TempDir(), testenv.FreeAddress(t)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs: [{job_name: prometheus, static_configs: [{targets: ["%s"]}]}]
remote_write:
  - url: %s/api/v1/write
    basic_auth: {username: any, password: %s}
    tls_config: {ca_file: %[4]s/ca.crt, cert_file: %[4]s/client.crt, key_file: %[4]s/client.key}
    queue_config: {batch_send_deadline: 500ms}
`, prometheus, address, key, a.Dir)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.StartProcess(t, dir, testenv.GetSenders(t).Prometheus, "--config.file="+file, "--web.listen-address="+prometheus, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"))
	eventually(t, time.Minute, "the samples", func() error {
		body, err := get(strings.Replace(address, "://", "://any:"+key+"@", 1) + "/api/v1/query?query=up")
		if err == nil && !strings.Contains(body, `"job":"prometheus"`) {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
	if resp, err := http.Get(n.url + "/-/healthy"); err == nil && resp.StatusCode == http.StatusOK {
		t.Error("answered without TLS")
	}
}

// secured are Kafka, ClickHouse, PostgreSQL and Redis that speak only TLS, with clients that have a certificate.
type secured struct {
	authority                *testenv.Authority
	kafka, clickhouse, redis string
	metadata                 string
}

// configure writes a configuration that trusts the authority in a folder for one part, and the right one for the others.
func (s secured) configure(t *testing.T, part, folder string) string {
	t.Helper()
	files := func(name string) string {
		trusted := s.authority.Dir
		if name == part {
			trusted = folder
		}
		return fmt.Sprintf("{ca_file: '%s/ca.crt', cert_file: '%[2]s/client.crt', key_file: '%[2]s/client.key'}", trusted, s.authority.Dir)
	}
	metadata := s.metadata
	if part == "metadata" {
		metadata = strings.Replace(metadata, "sslrootcert="+url.QueryEscape(s.authority.Dir), "sslrootcert="+url.QueryEscape(folder), 1)
	}
	text := fmt.Sprintf(`
auth: {enabled: true}
kafka:
  brokers: ['%s']
  topic: tls
  tls: %s
  sasl: {mechanism: SCRAM-SHA-512, username: %s, password: '%s'}
clickhouse: {dsn: '%s', tls: %s}
redis: {address: '%s', tls: %s}
metadata: {dsn: '%s'}
remote_write: {ha: {enabled: true}}
`, s.kafka, files("kafka"), testenv.KafkaUser, testenv.KafkaPassword, s.clickhouse, files("clickhouse"), s.redis, files("redis"), metadata)
	path := filepath.Join(t.TempDir(), "secured.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config.file=" + path
}

// TestTLSBehind has each role speak TLS to all that it depends on: a sample goes through. An authority whose file is not there
// is refused, and for servers of another authority than the trusted one a start waits; both name the key.
func TestTLSBehind(t *testing.T) {
	t.Parallel()
	a := testenv.NewAuthority(t)
	tables, err := url.Parse(clickhouse(t))
	if err != nil {
		t.Fatal(err)
	}
	tables.Host = a.Before(t, tables.Host)
	s := secured{authority: a, clickhouse: tables.String(), kafka: testenv.StartSecureKafka(t, a).SecureAddress,
		redis: testenv.StartSecureRedis(t, a).Address, metadata: testenv.StartSecurePostgres(t, a).DSN}
	config := s.configure(t, "", "")
	receiver := start(t, "receiver", t.TempDir(), config)
	operator := firstKey(t, receiver)
	consumer, querier := start(t, "consumer", t.TempDir(), config), start(t, "querier", t.TempDir(), config)
	now := time.Now().UnixMilli()
	if code := postSamples(with(operator, receiver.url), "", now, 1, 1, map[string]string{"__name__": "secured", "cluster": "c", "__replica__": "a"}); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	eventually(t, time.Minute, "the sample", func() error { return count(with(operator, querier.url), "secured", now, 1) })
	for n, want := range map[*node]string{
		receiver: "map[Kafka:up closed PostgreSQL:up closed Redis:up closed]",
		consumer: "map[ClickHouse:up closed Kafka:up closed PostgreSQL:up closed Redis:up closed]",
		querier:  "map[ClickHouse:up closed PostgreSQL:up closed Redis:up closed]",
	} {
		if got := fmt.Sprint(dependencies(t, with(operator, n.url))); got != want {
			t.Errorf("the dependencies are %s, want %s", got, want)
		}
	}

	for part, key := range map[string]string{"kafka": "kafka.tls", "clickhouse": "clickhouse.tls", "metadata": "metadata.dsn", "redis": "redis.tls"} {
		command(t, false, []string{"all", "--web.listen-address=" + testenv.FreeAddress(t), "--storage.path=" + t.TempDir(), s.configure(t, part, "/nowhere")}, key, "/nowhere/ca.crt")
	}
	// The server's certificate may be the one that is wrong, and be replaced.
	other := testenv.NewAuthority(t)
	for part, key := range map[string]string{"kafka": "kafka.tls", "clickhouse": "clickhouse.tls", "metadata": "metadata.dsn"} {
		n := launch(t, "all", t.TempDir(), s.configure(t, part, other.Dir))
		eventually(t, readyWithin, part+" not to be trusted", func() error {
			printed, err := os.ReadFile(n.Log)
			return errors.Join(err, contains(string(printed), key), contains(string(printed), "certificate signed by unknown authority"), status(n.url+"/-/ready", http.StatusServiceUnavailable))
		})
		n.Kill()
	}
}
