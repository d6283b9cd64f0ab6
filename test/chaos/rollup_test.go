package chaos

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
// field, and the next fold makes all of it complete, also after a replay of the whole log.
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
	// All samples come again, into hours that are folded.
	n.withTables(t, (*database).forget)
	if err := os.Remove(filepath.Join(n.data(), "log", "offsets")); err != nil {
		t.Fatal(err)
	}
	n.readAll(t, l.progress())
	n.rollupsAreRight(t, from, to, "")
	n.foldAll(t, from, to)
}

// loopPoints kill the loop that folds in the running process, in one hour after the other.
var loopPoints = []string{"downsampler/after-read", "downsampler/between-tiers:2", "downsampler/before-closed"}

// TestRollupLoop kills the running process while its downsampler folds: what is said to be complete is what raw makes of it
// each time, and the process that comes after the last one closes all hours.
func TestRollupLoop(t *testing.T) {
	t.Parallel()
	n := newNode(t, "all")
	n.startReady(t)
	l := startLoad(t, n.address, "rollup loop")
	l.await(t, 20)
	l.finish(t)
	n.stop(t)
	from, to := l.baseMs-3_600_000, l.baseMs+(days-1)*dayMs+3_600_000
	for _, p := range loopPoints {
		n.start(t, p)
		n.awaitDeath(t, p)
		n.rollupsAreRight(t, from, to, "")
	}
	n.startReady(t)
	eventually(t, "the hours are folded", n.hoursAreFolded)
	n.stop(t)
	n.rollupsAreRight(t, l.baseMs-3_600_000, l.baseMs+3_600_000, "2 hours compared")
	n.rollupsAreRight(t, l.baseMs+(days-1)*dayMs, l.baseMs+(days-1)*dayMs+3_600_000, "1 hours compared")
}

// hoursAreFolded asks the running process whether its loop, which goes from the oldest hour on, has come to the last that
// has samples. One was closed before.
func (n *node) hoursAreFolded() error {
	resp, err := client.Get(n.url() + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	folded := 0.0
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "metricstream_rollup_hours_total{") {
			hours, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return err
			}
			folded += hours
		}
	}
	if folded < (days-1)*24+1 {
		return fmt.Errorf("%.0f hours", folded)
	}
	return nil
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
