package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Senders are the real programs that tests let write to MetricStream.
type Senders struct {
	// DebianPrometheus is the distribution's Prometheus, which speaks Remote Write 1.0.
	DebianPrometheus string
	// Prometheus is the server of the very module version that go.mod requires; it speaks 2.0.
	Prometheus string
	// NodeExporter is something real to scrape.
	NodeExporter string
}

const (
	prometheusModule = "github.com/prometheus/prometheus"
	fetchTimeout     = 15 * time.Minute
)

// FetchSenders brings the senders into the cache folder, where they are not there yet: Debian's by apt-get,
// which needs no root for a download, the module's by the Go toolchain.
func FetchSenders(ctx context.Context, cacheDir string) (Senders, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var s Senders
	var err error
	if s.DebianPrometheus, err = fetchDebian(ctx, cacheDir, "prometheus", "usr/bin/prometheus"); err != nil {
		return s, err
	}
	if s.NodeExporter, err = fetchDebian(ctx, cacheDir, "prometheus-node-exporter", "usr/bin/prometheus-node-exporter"); err != nil {
		return s, err
	}
	s.Prometheus, err = buildPrometheus(ctx, cacheDir)
	return s, err
}

// fetchDebian downloads and unpacks one of Debian's packages, without installing it, and returns the path of a
// binary in it.
func fetchDebian(ctx context.Context, cacheDir, pkg, binary string) (string, error) {
	dir := filepath.Join(cacheDir, "debian-"+pkg)
	path := filepath.Join(dir, binary)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tmp, err := os.MkdirTemp(cacheDir, "debian-*")
	if err != nil {
		return "", fmt.Errorf("cannot create a folder for Debian's %s: %w", pkg, err)
	}
	defer os.RemoveAll(tmp)
	script := fmt.Sprintf(`apt-get download %[1]s 2>&1 || { apt-get update && apt-get download %[1]s; } && dpkg -x %[1]s_*.deb unpacked`, pkg)
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot fetch Debian's %s: %w\n%s\nthe tests need a Debian or Ubuntu machine; try `apt-get update` as root first", pkg, err, out)
	}
	return path, publish(filepath.Join(tmp, "unpacked"), dir)
}

// buildPrometheus builds the server that belongs to the module version this test binary was built with.
func buildPrometheus(ctx context.Context, cacheDir string) (string, error) {
	version, err := moduleVersion(ctx, prometheusModule)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir, "prometheus-"+version)
	path := filepath.Join(dir, "prometheus")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tmp, err := os.MkdirTemp(cacheDir, "prometheus-*")
	if err != nil {
		return "", fmt.Errorf("cannot create a folder for Prometheus: %w", err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "go", "install", "-tags", "remove_all_sd", prometheusModule+"/cmd/prometheus@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Join(tmp, "bin"), "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build Prometheus %s: %w\n%s", version, err, out)
	}
	return path, publish(filepath.Join(tmp, "bin"), dir)
}

// moduleVersion returns the version of a required module: from the running binary, or, where that is a test
// binary and so does not know, from go.mod.
func moduleVersion(ctx context.Context, module string) (string, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version, nil
			}
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("cannot read the version of %s from go.mod: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// publish moves a finished folder to its place in the cache; whoever else did so first wins.
func publish(from, to string) error {
	err := os.Rename(from, to)
	if _, statErr := os.Stat(to); statErr == nil {
		return nil
	}
	return err
}

// GetSenders is FetchSenders for a test, which fails where they cannot be had.
func GetSenders(t testing.TB) Senders {
	t.Helper()
	s, err := FetchSenders(t.Context(), CacheDir(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// CacheDir is the folder for what tests fetch: METRICSTREAM_CACHE, or metricstream under the user's cache.
func CacheDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("METRICSTREAM_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(base, "metricstream")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
