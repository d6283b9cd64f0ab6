package chaos

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/internal/testenv"
)

// config makes everything happen often: flushes, segments that roll, compactions.
const config = `
kafka:
  partitions: 4
  flush_age: 200ms
  embedded: {segment_bytes: 65536}
`

// partitions is what config says.
const partitions = 4

// node is one role that is started again and again, on one address and one folder.
type node struct {
	*testenv.Process
	role, dir, address string
	flags              []string
	tables             *database // of a ClickHouse that is not embedded, nil for the embedded one
}

func newNode(t *testing.T, role string, flags ...string) *node {
	t.Helper()
	n := &node{role: role, dir: t.TempDir(), address: testenv.FreeAddress(t), flags: flags}
	if err := os.WriteFile(filepath.Join(n.dir, "config.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) url() string  { return "http://" + n.address }
func (n *node) data() string { return filepath.Join(n.dir, "data") }

// start starts the role with a failpoint armed, or with none, and does not wait.
func (n *node) start(t *testing.T, failpoint string) {
	t.Helper()
	args := append([]string{
		"METRICSTREAM_FAILPOINT=" + failpoint, binary, n.role, "--config.file=" + filepath.Join(n.dir, "config.yml"),
		"--web.listen-address=" + n.address, "--storage.path=" + n.data(),
	}, n.flags...)
	n.Process = testenv.StartProcess(t, n.dir, "env", args...)
}

// startReady starts the role without a failpoint and waits until it is ready.
func (n *node) startReady(t *testing.T) {
	t.Helper()
	n.start(t, "")
	n.awaitReady(t)
}

func (n *node) awaitReady(t *testing.T) {
	t.Helper()
	testenv.WaitOK(t, n.Process, n.url()+"/-/ready", within)
}

// awaitDeath waits until the armed failpoint has ended the process.
func (n *node) awaitDeath(t *testing.T, failpoint string) {
	t.Helper()
	eventually(t, n.role+" comes to "+failpoint, func() error {
		if !n.Exited() {
			return fmt.Errorf("it lives")
		}
		return nil
	})
	if state := n.Cmd.ProcessState.String(); state != "signal: killed" {
		t.Fatalf("%s was to be killed at %s and ended by itself: %s", n.role, failpoint, state)
	}
}

// stop ends the role as Ctrl-C does.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.Interrupt(); err != nil {
		t.Fatalf("%s did not stop in order: %v", n.role, err)
	}
}

// engine returns the process that hosts the embedded engine, 0 for none.
func (n *node) engine() int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(n.Cmd.Process.Pid) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		return pid
	}
	return 0
}

// awaitNewEngine waits until another process hosts the engine than the one that was killed, and answers.
func (n *node) awaitNewEngine(t *testing.T, before int) {
	t.Helper()
	eventually(t, "the engine is restarted", func() error {
		if n.Exited() {
			t.Fatalf("%s ended with its engine: %v", n.role, n.Cmd.ProcessState)
		}
		if now := n.engine(); now == 0 || now == before {
			return fmt.Errorf("the engine is process %d", now)
		}
		return nil
	})
	n.awaitReady(t)
}

// metrics returns the values of all series of some metrics.
func (n *node) metrics(names ...string) (map[string][]float64, error) {
	resp, err := http.Get(n.url() + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string][]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, _, _ := strings.Cut(strings.ReplaceAll(lines.Text(), "{", " "), " ")
		if !slices.Contains(names, name) {
			continue
		}
		v, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
		if err != nil {
			return nil, err
		}
		out[name] = append(out[name], v)
	}
	return out, nil
}

// awaitRead waits until the consumer has written at least so many rows since its start and nothing is left.
func (n *node) awaitRead(t *testing.T, rows int) {
	t.Helper()
	const read, lag = "metricstream_consumer_rows_total", "metricstream_consumer_lag_records"
	eventually(t, fmt.Sprintf("%d rows are written again", rows), func() error {
		got, err := n.metrics(read, lag)
		if err != nil {
			return err
		}
		behind := 0.0
		for _, v := range got[lag] {
			behind += v
		}
		if len(got[read]) != 1 || got[read][0] < float64(rows) || len(got[lag]) != partitions || behind > 0 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
}
