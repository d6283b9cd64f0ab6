package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/metricstream/metricstream/internal/testenv"
)

// diskFaults are the calls by which a disk says that it is full, each refused for as long as the fault lasts.
var diskFaults = []struct{ name, calls string }{
	{"log: no space to write", "pwrite64"},
	{"log: no space to write, nor to undo", "pwrite64,ftruncate"},
	{"log: no space found at the sync", "fdatasync,fsync"},
}

// TestDiskFull lets the disk of the log be full: writes are refused, to be sent again, queries are answered, and all
// goes on by itself when there is space. Then the disk of the tables: the log holds what is written.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	var table table
	defer table.print(t, "embedded, full disk")
	rounds(t, func(t *testing.T, round int) {
		n := newNode(t, "all")
		n.startReady(t)
		l := startLoad(t, n.address, label(diskFaults[0].name, round))
		n.fillLog(t, l, round, &table)
		n.fillTables(t, l, round, &table)
		l.finish(t)
		verify(t, n.url(), l, &table)
		n.replay(t, len(l.acked)*perRequest)
	})
}

// fillLog lets the log's disk be full in each way, and kills the process in one of them.
func (n *node) fillLog(t *testing.T, l *load, round int, table *table) {
	t.Helper()
	for i, f := range diskFaults {
		l.mark(label(f.name, round))
		n.awaitLoad(t, l)
		release := full(t, n.Cmd.Process.Pid, f.calls)
		n.awaitRefused(t, l)
		if _, err := query(n.url(), "chaos", l.baseMs); err != nil {
			t.Errorf("%s: a query failed: %v", f.name, err)
		}
		if i == 1 { // what the failed writes have left is found at the next start
			n.Kill()
		}
		release()
		if i == 1 {
			n.startReady(t)
		}
		n.awaitLoad(t, l)
		table.row(f.name).kills++
	}
}

// fillTables lets the tables' disk be full.
func (n *node) fillTables(t *testing.T, l *load, round int, table *table) {
	t.Helper()
	const tables = "tables: no space for a new part"
	l.mark(label(tables, round))
	n.awaitLoad(t, l)
	release := full(t, n.engine(), "mkdir,mkdirat")
	n.awaitRetries(t)
	n.awaitLoad(t, l)
	if _, err := query(n.url(), "chaos", l.baseMs); err != nil {
		t.Errorf("%s: a query failed: %v", tables, err)
	}
	release()
	table.row(tables).kills++
}

// full makes some system calls of a process fail as on a full disk, until it is released.
func full(t *testing.T, pid int, calls string) (release func()) {
	t.Helper()
	cmd := exec.Command(testenv.GetStrace(t), "-f", "-qq", "-o", os.DevNull, "-p", strconv.Itoa(pid), "-e", "trace="+calls, "-e", "inject="+calls+":error=ENOSPC")
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start strace: %v", err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended with the process
		_ = cmd.Wait()
	}
}

// awaitRefused waits until every writer must have been refused again and again.
func (n *node) awaitRefused(t *testing.T, l *load) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.refused
	}
	before := count()
	eventually(t, "writes are refused", func() error {
		if now := count(); now < before+20 {
			return fmt.Errorf("%d were", now-before)
		}
		return nil
	})
}

// awaitRetries waits until the consumer has tried again and again to write.
func (n *node) awaitRetries(t *testing.T) {
	t.Helper()
	const retries = "metricstream_consumer_retries_total"
	first := -1.0
	eventually(t, "the consumer tries again", func() error {
		got, err := n.metrics(retries)
		if err != nil || len(got[retries]) != 1 {
			return fmt.Errorf("%v: %v", got, err)
		}
		if first < 0 {
			first = got[retries][0]
		}
		if now := got[retries][0]; now < first+2 {
			return fmt.Errorf("%v times", now-first)
		}
		return nil
	})
}
