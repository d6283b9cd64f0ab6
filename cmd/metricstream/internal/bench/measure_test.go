package bench

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestPercentilesAreNearestRank(t *testing.T) {
	var d []time.Duration
	for i := 100; i >= 1; i-- {
		d = append(d, time.Duration(i)*time.Millisecond)
	}
	if got := newLatency(d); got != (Latency{100, 50, 99, 100}) {
		t.Errorf("of 1 to 100 ms: %+v", got)
	}
	if got := newLatency([]time.Duration{7 * time.Millisecond}); got != (Latency{1, 7, 7, 7}) {
		t.Errorf("of one: %+v", got)
	}
	if got := newLatency(nil); got != (Latency{}) {
		t.Errorf("of none: %+v", got)
	}
	// With 101 durations the 99th percentile is the 100th smallest: rank ceil(99.99).
	if got := newLatency(append(d, 101*time.Millisecond)); got.P99 != 100 || got.P50 != 51 {
		t.Errorf("of 1 to 101 ms: %+v", got)
	}
}

func TestParseStat(t *testing.T) {
	// The command's name may look like anything, even like the rest of the line.
	text := "42 (a b) S 1 (x) R 7 42 42 0 -1 4194304 100 200 0 0 11 22 33 44 20 0 1 0 100 1000 50"
	s, err := parseStat([]byte(text))
	if err != nil || s.ppid != 7 || s.ticks != 110 {
		t.Errorf("got %+v, %v; want parent 7 and 110 ticks", s, err)
	}
	for _, bad := range []string{"", "42", "42 (a) S", "42 (a) S x 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestListeningInodes(t *testing.T) {
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
`
	got := map[string]bool{}
	listeningInodes(text, 8080, got)
	if len(got) != 1 || !got["socket:[111]"] {
		t.Errorf("got %v, want socket 111 alone", got)
	}
}

func TestListenerIsThisProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pids, err := listeners("http://" + l.Addr().String() + "/api/v1/write")
	if err != nil || !slices.Equal(pids, []int{os.Getpid()}) {
		t.Errorf("listeners are %v (%v), want %d", pids, err, os.Getpid())
	}
	if pids, err := listeners("http://192.0.2.1:80/"); err != nil || pids != nil {
		t.Errorf("a host elsewhere has the listeners %v (%v)", pids, err)
	}
}

// A shell waits for a child that burns CPU: when the child has ended its time is still the tree's.
func TestTreeUsageCountsChildren(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "go")
	script := `i=0; (while :; do i=$((i+1)); [ $i -lt 100000 ] || break; done; read x < "$0"); read y < "$0"; :`
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script, fifo)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	roots := []int{cmd.Process.Pid}
	release := func() {
		t.Helper()
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}

	release() // opens only when the child has burned its share and reads
	burned := await(t, roots, func(u Usage) bool { return u.CPUSeconds > 0 && u.Processes == 1 })
	if burned.RSSBytes <= 0 || burned.AnonBytes <= 0 || burned.AnonBytes > burned.RSSBytes {
		t.Errorf("memory is %+v", burned)
	}
	release()
}

// await polls a tree until it satisfies ok.
func await(t *testing.T, roots []int, ok func(Usage) bool) Usage {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if u, err := treeUsage(roots); err == nil && ok(u) {
			return u
		}
	}
	u, err := treeUsage(roots)
	t.Fatalf("the tree is still %+v (%v)", u, err)
	return u
}

func TestTreeUsageOfRunningChild(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	u := await(t, []int{cmd.Process.Pid}, func(u Usage) bool { return u.Processes == 2 })
	if again, err := treeUsage([]int{cmd.Process.Pid, cmd.Process.Pid}); err != nil || again.Processes != 2 || again.CPUSeconds < u.CPUSeconds {
		t.Errorf("named twice the tree is %+v (%v), want it once: %+v", again, err, u)
	}
	stats, err := allStats()
	if err != nil {
		t.Fatal(err)
	}
	for pid, s := range stats {
		if s.ppid == cmd.Process.Pid {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
}

func TestTreeUsageOfNobody(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if u, err := treeUsage([]int{cmd.Process.Pid}); err == nil {
		t.Errorf("an ended process uses %+v", u)
	}
}

func TestOwnCPUMoves(t *testing.T) {
	before := ownCPU()
	for deadline := time.Now().Add(30 * time.Second); ownCPU() == before; {
		if time.Now().After(deadline) {
			t.Fatal("CPU time stands still")
		}
	}
}

func TestDiskUse(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("log/1", 10_000)
	write("data/a/b", 100_000)
	if err := os.Link(filepath.Join(dir, "log/1"), filepath.Join(dir, "log/linked")); err != nil {
		t.Fatal(err)
	}
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	use, err := diskUse([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if use.ApparentBytes != 110_000+1<<30 {
		t.Errorf("apparent size is %d, want %d", use.ApparentBytes, 110_000+1<<30)
	}
	if use.Bytes < 110_000 || use.Bytes > 10<<20 {
		t.Errorf("size is %d, want little more than 110000", use.Bytes)
	}
	if use.Parts["data"] < 100_000 || use.Parts["log"] < 10_000 || use.Parts["log"] >= 20_000+8192 {
		t.Errorf("parts are %v", use.Parts)
	}
	if _, err := diskUse([]string{filepath.Join(dir, "none")}); err == nil {
		t.Error("a missing folder has a size")
	}
}
