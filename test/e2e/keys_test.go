package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// with puts a key into an address, from where clients send it by basic authentication.
func with(key, address string) string {
	return strings.Replace(address, "http://", "http://any:"+key+"@", 1)
}

// firstKey returns the key that a process printed at its first start.
func firstKey(t *testing.T, n *node) string {
	t.Helper()
	printed, err := os.ReadFile(n.Log)
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`(?m)^  (ms_[0-9a-f]{16}_[0-9a-f]{48})$`).FindSubmatch(printed)
	if key == nil {
		t.Fatalf("no first key in:\n%s", printed)
	}
	return string(key[1])
}

// administer sends a request with a body in JSON and returns the status and the data of the answer.
func administer(t *testing.T, method, address, path, body string, data any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address+"/api/v1/admin"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct{ Data json.RawMessage }{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if data != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(answer.Data, data); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// keyCommand runs `metricstream key create` or the like against a node, nil where the arguments have the address, and
// returns what it prints, the key.
func keyCommand(t *testing.T, n *node, operator string, args ...string) string {
	t.Helper()
	if n != nil {
		args = append(args, "--url="+n.url)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "METRICSTREAM_API_KEY="+operator)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, problems.String())
	}
	return strings.TrimSpace(string(out))
}

// startSenderWithKey starts a Prometheus that scrapes itself every second and writes with basic authentication.
func startSenderWithKey(t *testing.T, receiver, key string) {
	t.Helper()
	dir, address := t.TempDir(), testenv.FreeAddress(t)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["%s"]}]
  - job_name: second # its name is a label value of Prometheus' own metrics, the label job is not
    relabel_configs: [{target_label: job, replacement: hidden}]
    static_configs: [{targets: ["%s"]}]
remote_write:
  - url: %s/api/v1/write
    basic_auth: {username: any, password: %s}
    protobuf_message: io.prometheus.write.v2.Request
    queue_config: {batch_send_deadline: 500ms}
    metadata_config: {send: true, send_interval: 2s}
`, address, address, receiver, key)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testenv.StartProcess(t, dir, testenv.GetSenders(t).Prometheus, "--config.file="+file, "--web.listen-address="+address, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"))
	testenv.WaitOK(t, p, "http://"+address+"/-/ready", time.Minute)
}

// newest returns the time of the newest sample of an expression's series, 0 without any.
func newest(server, expr string) (float64, error) {
	got, err := instant(server, "max(timestamp("+expr+"))", float64(time.Now().UnixMilli())/1000)
	if err != nil || len(got.series) == 0 {
		return 0, err
	}
	var at float64
	_, err = fmt.Sscan(got.series[0].points[0].value, &at)
	return at, err
}

// goesOn waits until samples that are newer than now have arrived.
func goesOn(t *testing.T, server string) {
	t.Helper()
	now := float64(time.Now().UnixMilli()) / 1000
	eventually(t, time.Minute, "newer samples", func() error {
		at, err := newest(server, `up`)
		if err == nil && at <= now {
			err = fmt.Errorf("the newest is of %f, asked at %f", at, now)
		}
		return err
	})
}

// TestKeys runs the roles of a cluster with API keys in a real PostgreSQL. A Prometheus writes with basic authentication;
// keys see what they may and nothing else; PostgreSQL is killed and comes back.
func TestKeys(t *testing.T) {
	t.Parallel()
	began := time.Now().Truncate(time.Second) // as the times of uses are shown
	postgres := testenv.StartPostgres(t)
	shared := []string{"--kafka.brokers=" + testenv.StartKafka(t).Address, "--kafka.topic=keys", "--clickhouse.dsn=" + clickhouse(t), "--auth.enabled", "--metadata.dsn=" + postgres.DSN}
	receiver := start(t, "receiver", t.TempDir(), shared...)
	operator := firstKey(t, receiver)
	querier := start(t, "querier", t.TempDir(), shared...)
	start(t, "consumer", t.TempDir(), shared...)
	keyCommand(t, receiver, operator, "tenant", "create", "a")
	keyCommand(t, receiver, operator, "tenant", "create", "b")
	write := keyCommand(t, receiver, operator, "key", "create", "--tenant=a", "--scope=write")
	read := keyCommand(t, receiver, operator, "key", "create", "--tenant=a", "--scope=read")
	part := keyCommand(t, receiver, operator, "key", "create", "--tenant=a", "--scope=read", `--selector={job="prometheus"}`)
	other := keyCommand(t, receiver, operator, "key", "create", "--tenant=b", "--scope=read", "--scope=write", "--scope=admin", "--scope=rules")
	if at := keyCommand(t, querier, operator, "key", "list"); !strings.Contains(at, `{job="prometheus"}`) || strings.Contains(at, write) {
		t.Errorf("the list of keys:\n%s", at)
	}
	startSenderWithKey(t, receiver.url, write)
	reader := with(read, querier.url)
	goesOn(t, reader)

	noLeaks(t, querier.url, part, other)
	promtool(t, querier.url, part)
	promtool(t, querier.url, rotates(t, &people{here: receiver, there: querier, operator: operator}, part))

	postgres.Kill()
	if code := administer(t, "POST", with(operator, receiver.url), "/tenants", `{"id":"c"}`, nil); code != http.StatusServiceUnavailable {
		t.Errorf("a change without PostgreSQL: %d", code)
	}
	goesOn(t, reader)
	for _, n := range []*node{receiver, querier} {
		testenv.WaitOK(t, n.Process, n.url+"/-/ready", time.Minute)
	}
	late := launch(t, "receiver", t.TempDir(), shared...)
	eventually(t, readyWithin, "a receiver that starts now to wait, and to let nobody in", func() error {
		return status(with(operator, late.url)+"/metrics", http.StatusServiceUnavailable)
	})
	postgres.Restart()
	testenv.WaitOK(t, late.Process, late.url+"/-/ready", readyWithin)
	eventually(t, 30*time.Second, "changes to work again", func() error {
		if code := administer(t, "POST", with(operator, receiver.url), "/tenants", `{"id":"c"}`, nil); code != http.StatusOK {
			return fmt.Errorf("%d", code)
		}
		return nil
	})
	if code := administer(t, "DELETE", with(operator, querier.url), "/keys/"+idOf(write), "", nil); code != http.StatusOK {
		t.Fatalf("the revocation: %d", code)
	}
	eventually(t, inForce, "the receiver to refuse what was revoked at the querier", func() error {
		if code := postSamples(with(write, receiver.url), "", time.Now().UnixMilli(), 1, 1, map[string]string{"__name__": "late"}); code != http.StatusUnauthorized {
			return fmt.Errorf("%d", code)
		}
		return nil
	})
	if err := querier.Interrupt(); err != nil { // the times of uses are written once a minute, and at the end
		t.Fatalf("the process did not end by itself: %v", err)
	}
	list := keyCommand(t, receiver, operator, "key", "list")
	row := regexp.MustCompile(`(?m)^` + idOf(read) + ` .*$`).FindString(list)
	columns := regexp.MustCompile(` {2,}`).Split(row, -1)
	if used, err := time.Parse(time.RFC3339, columns[min(7, len(columns)-1)]); err != nil || used.Before(began) {
		t.Errorf("the last use of %s: %v:\n%s", idOf(read), err, list)
	}
}

// idOf is the part of a key that is no secret.
func idOf(key string) string { return strings.Split(key, "_")[1] }

// rotates a key here, twice: there the old ones are good for as long as was asked for, and the new one for what they were.
func rotates(t *testing.T, p *people, first string) (third string) {
	t.Helper()
	reads := func(key string) int {
		code, _ := request(t, with(key, p.there.url)+"/api/v1/query?query=up")
		return code
	}
	second := p.do(t, "key", "rotate", idOf(first))
	p.same(t)
	if old, next := reads(first), reads(second); old != 200 || next != 200 {
		t.Errorf("a rotated key reads with %d, the one in its place with %d", old, next)
	}
	third = p.do(t, "key", "rotate", idOf(second), "--overlap=0s")
	p.same(t)
	if old, older := reads(second), reads(first); old != 401 || older != 200 {
		t.Errorf("a key that was rotated without overlap reads with %d, the one before with %d", old, older)
	}
	return third
}

// noLeaks asks for the series with the job "hidden" by keys that may not see them.
func noLeaks(t *testing.T, querier string, part, other string) {
	t.Helper()
	matchers := []string{`__name__=~".+"`, `job="hidden"`, `job!="prometheus"`, `job=~"hidden|prometheus"`, `job!~"p.*"`, `__name__="up",job=~".*"`, `__name__!="",instance=~".+",nothing=""`, `job="hidden' OR '1'='1"`, `__name__=~".+",job!="') OR 1=1 --"`, `job=~"hid\\x64en"`}
	paths := []string{"/api/v1/series?match[]=%s", "/api/v1/query?query=%s", "/api/v1/query_exemplars?query=%s", "/api/v1/labels?match[]=%s", "/api/v1/label/job/values?match[]=%s", "/federate?match[]=%s", "/api/v1/query?query=count_over_time(%s[5m])", "/api/v1/query?query=sum%%20by(job)(rate(%s[5m]))"}
	seen := 0
	for name, key := range map[string]string{"part": part, "other": other} {
		for _, path := range paths {
			for _, m := range matchers {
				for _, tenant := range []string{"", "a", "a|b"} {
					code, body := request(t, with(key, querier)+fmt.Sprintf(path, "%7B"+escape(m)+"%7D"), "X-Scope-OrgID", tenant)
					if strings.Contains(body, `"hidden"`) || name == "other" && strings.Contains(body, `prometheus"`) || code >= 500 {
						t.Errorf("%s %s {%s}: %d %s", name, path, m, code, body)
					}
					if strings.Contains(body, `prometheus"`) {
						seen++
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("the attempts are of no use: a key sees its own part in %d of them", seen)
	}
	for path, want := range map[string]int{"/api/v1/status/tsdb": 403, "/api/v1/status/config": 403, "/metrics": 403, "/api/v1/metadata": 200} {
		if code, body := request(t, with(part, querier)+path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for _, path := range []string{"/api/v1/query?query=up", "/metrics", "/api/v1/admin/keys", "/federate?match[]=up"} {
		if code, body := request(t, querier+path); code != 401 || strings.Contains(body, "hidden") {
			t.Errorf("%s without a key: %d %s", path, code, body)
		}
	}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// promtool asks as people do by hand, with the key in the address.
func promtool(t *testing.T, querier, key string) {
	t.Helper()
	tool := filepath.Join(filepath.Dir(testenv.GetSenders(t).DebianPrometheus), "promtool")
	out, err := exec.CommandContext(t.Context(), tool, "query", "instant", with(key, querier), "count by (job) (up)").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `{job="prometheus"} => 1`) || strings.Contains(string(out), "hidden") {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestKeysAreNeeded refuses roles of a cluster that would each have keys of their own.
func TestKeysAreNeeded(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(binary, "receiver", "--kafka.brokers=127.0.0.1:1", "--auth.enabled").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "metadata.dsn") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestOpenToOthers warns where others than this machine's users are let in without a key, and only there.
func TestOpenToOthers(t *testing.T) {
	t.Parallel()
	const warning = "everyone who reaches this address may write and read everything: set auth.enabled"
	_, port, err := net.SplitHostPort(testenv.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{":" + port: true, testenv.FreeAddress(t): false} {
		// It waits for Kafka, when it has told what there is to tell.
		p := testenv.StartProcess(t, t.TempDir(), binary, "receiver", "--kafka.brokers=127.0.0.1:1", "--web.listen-address="+address)
		eventually(t, readyWithin, "the start", func() error {
			printed, err := os.ReadFile(p.Log)
			if err == nil {
				err = contains(string(printed), "cannot reach Kafka yet")
			}
			if err == nil && strings.Contains(string(printed), warning) != want {
				t.Errorf("%s: %s", address, printed)
			}
			return err
		})
		p.Kill()
	}
}
