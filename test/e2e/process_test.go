package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestSideBySide runs two instances on one machine, each with its data in ./data: what is written to one is not in the other.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	a, b := start(t, "all", "./data"), start(t, "all", "./data")
	now := time.Now().UnixMilli()
	if code := postSamples(a.url, "", now, 1, 1, map[string]string{"__name__": "only_in_a"}); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	eventually(t, time.Minute, "the sample in a", func() error { return count(a.url, "only_in_a", now, 1) })
	if err := count(b.url, "only_in_a", now, 0); err != nil {
		t.Error(err)
	}
}

// count checks how many series an instant query gives at a time in ms.
func count(server, expr string, atMs int64, want int) error {
	got, err := instant(server, expr, float64(atMs)/1000)
	if err != nil {
		return err
	}
	if len(got.series) != want {
		return fmt.Errorf("%s: %d series, want %d", expr, len(got.series), want)
	}
	return nil
}

// TestSameFolderTwice says so instead of failing obscurely, and leaves the first instance alone.
func TestSameFolderTwice(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	first := start(t, "all", data)
	out, err := exec.Command(binary, "all", "--web.listen-address="+testenv.FreeAddress(t), "--storage.path="+data).CombinedOutput()
	if err == nil {
		t.Fatal("a second process on the same folder started")
	}
	if !strings.Contains(string(out), data) || !strings.Contains(string(out), "another process") {
		t.Errorf("the message does not name the folder and the reason:\n%s", out)
	}
	testenv.WaitOK(t, first.Process, first.url+"/-/ready", time.Minute)
}

// TestAddressInUse names the address and the key to change.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := start(t, "all", filepath.Join(t.TempDir(), "data"))
	address := strings.TrimPrefix(first.url, "http://")
	out, err := exec.Command(binary, "all", "--web.listen-address="+address, "--storage.path="+t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), address) || !strings.Contains(string(out), "web.listen_address") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestBadConfig checks that each mistake is refused with the key that is wrong.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"web: {listen_address: 9009}\n":      "web.listen_address",
		"web: {listen_adress: ':9009'}\n":    "listen_adress",
		"kafka: {brokers: ['nohost:x:y']}\n": "kafka.brokers",
		"clickhouse: {dsn: 'mysql://x'}\n":   "clickhouse.dsn",
		"query: {timeout: -1s}\n":            "query.timeout",
		"log: {level: loud}\n":               "log.level",
		"web: [\n":                           "yaml",
	} {
		file := filepath.Join(t.TempDir(), "metricstream.yml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary, "all", "--config.check", "--config.file="+file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v: %s; want a message with %q", text, err, out, want)
		}
	}
	good := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(good, []byte("web: {listen_address: '127.0.0.1:9009'}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "all", "--config.check", "--config.file="+good).CombinedOutput(); err != nil {
		t.Errorf("a good file was refused: %v: %s", err, out)
	}
}

// TestTenantsAreApart writes the same series for two tenants and reads each with its header.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	now := time.Now().UnixMilli()
	for tenant, value := range map[string]float64{"a": 1, "b": 2} {
		if code := postSamples(n.url, tenant, now, value, 1, map[string]string{"__name__": "shared_name"}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
	for tenant, want := range map[string]string{"a": `"1"`, "b": `"2"`, "": `"result":[]`} {
		eventually(t, time.Minute, "tenant "+tenant, func() error {
			body, err := getAs(n.url+"/prometheus/api/v1/query?query=shared_name&time="+seconds(float64(now)/1000), tenant)
			if err == nil && !strings.Contains(body, want) {
				err = fmt.Errorf("got %s, want %s", body, want)
			}
			return err
		})
	}
}

func getAs(url, tenant string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if tenant != "" {
		r.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestAliases writes through every alias and finds what was written by series, labels and label values.
func TestAliases(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	now := time.Now().UnixMilli()
	labels := map[string]string{"__name__": "alias_test", "quote": `it's "quoted" \ and 日本`}
	if code := postSamples(n.url+"/prometheus", "", now, 1, 2, labels); code != http.StatusNoContent {
		t.Fatalf("write under /prometheus answered %d", code)
	}
	for _, path := range []string{"/api/v1/push", "/api/v1/receive"} {
		resp, err := http.Post(n.url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("POST %s of JSON answered %d, want 415", path, resp.StatusCode)
		}
	}
	eventually(t, time.Minute, "the series", func() error { return count(n.url, `alias_test{quote=~"it's.*"}`, now, 2) })
	var values []string
	if err := ask(n.url, "/api/v1/label/quote/values", url.Values{"match[]": {"alias_test"}}, &values); err != nil || !slices.Equal(values, []string{labels["quote"]}) {
		t.Errorf("label values: %q, %v", values, err)
	}
	var names []string
	if err := ask(n.url, "/api/v1/labels", nil, &names); err != nil || !slices.Contains(names, "quote") {
		t.Errorf("labels: %q, %v", names, err)
	}
	var found []map[string]string
	if err := ask(n.url, "/api/v1/series", url.Values{"match[]": {`{i="1"}`}}, &found); err != nil || len(found) != 1 || found[0]["__name__"] != "alias_test" {
		t.Errorf("series: %v, %v", found, err)
	}
}
