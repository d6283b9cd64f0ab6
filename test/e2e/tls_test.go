package e2e

import (
	"fmt"
	"io"
	"net/http"
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
