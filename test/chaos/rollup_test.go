package chaos

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// foldPoints kill a fold of two hours in the first and in the second of them.
var foldPoints = []string{
	"downsampler/after-read", "downsampler/after-read:2", "downsampler/between-tiers", "downsampler/between-tiers:2",
	"downsampler/before-closed", "downsampler/before-closed:2",
}

// latePoints kill the writer of samples that come into hours that are folded already.
var latePoints = []string{"clickhouse/before-marks:2", "clickhouse/before-progress:2"}

// TestRollups kills folds, and those who write late samples: whatever is said to be complete is what raw makes of it, field by
// field, and the next fold makes all of it complete.
func TestRollups(t *testing.T) {
	t.Parallel()
	n := newNode(t, "all")
	n.startReady(t)
	l := startLoad(t, n.address, "rollups")
	l.await(t, 20)
	l.finish(t)
	n.stop(t)
	from, to := l.baseMs-3_600_000, l.baseMs+3_600_000
	for _, p := range foldPoints {
		if state := n.rollup(t, p, from, to); !strings.Contains(state, "signal: killed") {
			t.Fatalf("the fold was to be killed at %s:\n%s", p, state)
		}
		n.rollupsAreRight(t, from, to, "")
	}
	n.foldAll(t, from, to)
	for _, p := range latePoints {
		n.start(t, p)
		l := startLoad(t, n.address, p)
		n.awaitDeath(t, p)
		n.startReady(t)
		l.finish(t)
		n.stop(t)
		n.rollupsAreRight(t, from, to, "")
		n.foldAll(t, from, to)
	}
}

// await waits until some requests are acknowledged.
func (l *load) await(t *testing.T, requests int) {
	t.Helper()
	for deadline := time.Now().Add(within); l.progress() < requests; time.Sleep(betweenSends) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d requests were acknowledged", l.progress())
		}
	}
}

// foldAll folds the hours and checks them.
func (n *node) foldAll(t *testing.T, from, to int64) {
	t.Helper()
	if out := n.rollup(t, "", from, to); !strings.Contains(out, "2 hours folded") {
		t.Fatalf("the hours were not folded:\n%s", out)
	}
	n.rollupsAreRight(t, from, to, "2 hours compared")
}

// rollupsAreRight checks that the tables have no difference from raw.
func (n *node) rollupsAreRight(t *testing.T, from, to int64, want string) {
	t.Helper()
	if out := n.rollup(t, "", from, to, "--verify"); !strings.Contains(out, " 0 differences") || !strings.Contains(out, want) {
		t.Fatalf("the rollups are not those of raw, or not complete:\n%s", out)
	}
}

// rollup runs `metricstream rollup` with a failpoint armed, or with none, and returns what it says and how it ends.
func (n *node) rollup(t *testing.T, failpoint string, fromMs, toMs int64, flags ...string) string {
	t.Helper()
	show := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	cmd := exec.Command(binary, append([]string{
		"rollup", "--config.file=" + filepath.Join(n.dir, "config.yml"), "--storage.path=" + n.data(), "--from=" + show(fromMs), "--to=" + show(toMs),
	}, flags...)...)
	cmd.Env = append(os.Environ(), "METRICSTREAM_FAILPOINT="+failpoint)
	out, _ := cmd.CombinedOutput()
	return string(out) + cmd.ProcessState.String()
}
