package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
)

// parentEnv makes the test binary a process that does nothing but own an engine in the folder it names.
const parentEnv = "METRICSTREAM_TEST_ENGINE_PARENT"

func runParent(dir string) {
	os.Unsetenv(parentEnv) // or the host would be another parent
	library, err := testenv.Library()
	if err != nil {
		panic(err)
	}
	e, err := engine.Start(context.Background(), engine.Options{Dir: dir, Library: library, Args: []string{}, Env: []string{"METRICSTREAM_ENGINE_HOST=1"}})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready", e.DSN(), e.PID())
	select {}
}

// parent is a running process that owns an engine.
type parent struct {
	cmd *exec.Cmd
	dsn string
	pid int // of the engine's host
}

func startParent(t *testing.T, dir string) *parent {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 || words[0] != "ready" {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	pid, err := strconv.Atoi(words[2])
	if err != nil {
		t.Fatal(err)
	}
	return &parent{cmd: cmd, dsn: words[1], pid: pid}
}

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestParentKilled_NoOrphanAndCleanRestart(t *testing.T) {
	for name, whole := range map[string]bool{"parent alone": false, "whole process group": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := startParent(t, dir)
			conn := open(t, p.dsn, nil)
			execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
			execute(t, conn, "INSERT INTO t SELECT number FROM numbers(100000)")
			target := p.cmd.Process.Pid
			if whole {
				target = -target
			}
			if err := syscall.Kill(target, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = p.cmd.Wait()

			// At once, while the orphan may still be closing.
			e := start(t, options(t, dir))
			if got := text(t, open(t, e.DSN(), nil), "SELECT count() AS x FROM t"); got != "100000" {
				t.Errorf("%s rows after the restart", got)
			}
			eventually(t, "the end of the orphan", func() bool { return !running(p.pid) })
		})
	}
}

func TestParentKilled_OrphanWithRunningQueryEnds(t *testing.T) {
	p := startParent(t, t.TempDir())
	conn := open(t, p.dsn, nil)
	go func() {
		var n uint64
		_ = conn.QueryRow(context.Background(), endless).Scan(&n)
	}()
	watch := open(t, p.dsn, nil)
	eventually(t, "the query", func() bool {
		return text(t, watch, "SELECT count() AS x FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%system.processes%'") == "1"
	})
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	eventually(t, "the end of the orphan", func() bool { return !running(p.pid) })
}

func TestClose_KeepsDataAndEndsTheProcess(t *testing.T) {
	dir := t.TempDir()
	e := start(t, options(t, dir))
	execute(t, open(t, e.DSN(), nil), "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(t, open(t, e.DSN(), nil), "INSERT INTO t SELECT number FROM numbers(10)")
	pid := e.PID()
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if running(pid) {
		t.Error("the process is still there")
	}
	again := start(t, options(t, dir))
	if got := text(t, open(t, again.DSN(), nil), "SELECT count() AS x FROM t"); got != "10" {
		t.Errorf("%s rows", got)
	}
}

// TestKilled_RestartsWithEveryAcknowledgedRow kills the engine again and again while rows are inserted.
func TestKilled_RestartsWithEveryAcknowledgedRow(t *testing.T) {
	const kills = 5
	o := options(t, t.TempDir())
	registry := prometheus.NewRegistry()
	o.Registerer = registry
	e := start(t, o)
	dsn := e.DSN()
	execute(t, open(t, dsn, nil), "CREATE TABLE t (n UInt64) ENGINE = ReplacingMergeTree ORDER BY n")

	var acked atomic.Uint64
	ctx, stop := context.WithCancel(context.Background())
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		conn := open(t, dsn, nil)
		for n := uint64(0); ctx.Err() == nil; {
			query := fmt.Sprintf("INSERT INTO t SELECT number + %d FROM numbers(100)", n)
			if conn.Exec(context.Background(), query) == nil {
				n += 100
				acked.Store(n)
			} else {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	for range kills {
		before := acked.Load()
		eventually(t, "progress between two kills", func() bool { return acked.Load() > before+300 && e.PID() != 0 })
		if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	before := acked.Load()
	eventually(t, "progress after the last kill", func() bool { return acked.Load() > before })
	stop()
	<-writer
	if e.DSN() != dsn {
		t.Error("the address changed")
	}
	got := text(t, open(t, dsn, nil), fmt.Sprintf("SELECT countIf(n < %d) AS x FROM t FINAL", acked.Load()))
	if got != strconv.FormatUint(acked.Load(), 10) {
		t.Errorf("%s rows, %d were acknowledged", got, acked.Load())
	}
	checkRestarts(t, registry, kills, 0)
}

// checkRestarts compares the metric of restarts. An engine that is killed again while it starts has failed to start.
func checkRestarts(t *testing.T, registry *prometheus.Registry, died, hung int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		if f.GetName() != "metricstream_engine_restarts_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			got[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
		}
	}
	if got["died"]+got["failed_start"] != died || got["hung"] != hung || len(got) != 3 {
		t.Errorf("restarts by reason are %v, want %d that died and %d that hung", got, died, hung)
	}
}

// TestHung_IsKilledAndRestarted stops the engine's process, as a deadlock would: it lives and answers nothing.
func TestHung_IsKilledAndRestarted(t *testing.T) {
	t.Parallel() // it waits, mostly
	o := options(t, t.TempDir())
	registry := prometheus.NewRegistry()
	o.Registerer = registry
	e := start(t, o)
	conn := open(t, e.DSN(), nil)
	execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(t, conn, "INSERT INTO t SELECT number FROM numbers(10)")
	pid := e.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the engine that hung", func() bool { return !running(pid) })
	eventually(t, "another engine", func() bool { return e.PID() != 0 && e.PID() != pid })
	eventually(t, "the data", func() bool {
		var n uint64
		return open(t, e.DSN(), nil).QueryRow(t.Context(), "SELECT count() FROM t").Scan(&n) == nil && n == 10
	})
	checkRestarts(t, registry, 0, 1)
}
