package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// point is a failpoint and at which hits of it the first round kills. Hits of a process count from its start.
type point struct {
	name string
	hits []int
}

// embeddedPoints kill the whole of `metricstream all`; its engine then shuts down by itself.
var embeddedPoints = []point{
	{"log/segment-created", []int{1, 2, 1}}, // the first two: of a new log, of the dead letters'; then of rolls
	{"log/segment-synced", []int{2}},
	{"offsets/before-rename", []int{1}},
	{"receiver/produced", []int{1, 60}},
	{"producer/partial", []int{30}},
	{"log/torn", []int{1, 80}},
	{"log/written", []int{25}},
	{"log/synced", []int{1, 50}},
	{"consumer/before-insert", []int{1, 5}},
	{"clickhouse/after-series", []int{1, 4}},
	{"clickhouse/after-day", []int{1, 2, 8}},
	{"clickhouse/before-progress", []int{1, 3}},
	{"consumer/before-commit", []int{1, 4}},
	{"offsets/torn", []int{3}},
	{"offsets/written", []int{2}},
}

// enginePoints kill the engine under the process that uses it.
var enginePoints = []point{
	{"clickhouse/after-series", []int{2}},
	{"clickhouse/after-day", []int{5}},
	{"clickhouse/before-progress", []int{3}},
}

// TestEmbedded kills `metricstream all` and its engine, all over one data folder.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	var table table
	defer table.print(t, "embedded")
	rounds(t, func(t *testing.T, round int) {
		n := newNode(t, "all")
		n.replay(t, n.killAtPoints(t, round, &table)+n.killEngineAndAll(t, round, &table))
	})
}

// killAtPoints kills the process at each point and returns how many samples were acknowledged meanwhile.
func (n *node) killAtPoints(t *testing.T, round int, table *table) int {
	t.Helper()
	l := startLoad(t, n.address, label(embeddedPoints[0].name, round))
	for i, p := range embeddedPoints {
		if i == 1 { // by now there are tables
			generation, err := os.ReadFile(filepath.Join(n.data(), "log", "generation"))
			if err != nil {
				t.Fatal(err)
			}
			n.withTables(t, func(d *database) { d.pretend(strings.TrimSpace(string(generation))) })
		}
		for _, hit := range p.hits {
			l.mark(label(p.name, round))
			n.dieAt(t, p.name, again(round, hit))
			table.row(p.name).kills++
		}
	}
	n.startReady(t)
	l.finish(t)
	verify(t, n.url(), l, table)
	n.stop(t)
	n.withTables(t, (*database).forget)
	return len(l.acked) * perRequest
}

// killEngineAndAll kills the engine under the process, and both at once.
func (n *node) killEngineAndAll(t *testing.T, round int, table *table) int {
	t.Helper()
	l := startLoad(t, n.address, label("engine at "+enginePoints[0].name, round))
	for _, p := range enginePoints {
		for _, hit := range p.hits {
			l.mark(label("engine at "+p.name, round))
			n.loseEngineAt(t, p.name, again(round, hit), l)
			table.row("engine at "+p.name).kills++
		}
	}
	n.startReady(t)
	n.killEngineAnywhere(t, l, round, table)
	n.killEngineAtRename(t, l, round, table)
	for range 3 {
		const name = "whole process group, anywhere"
		l.mark(label(name, round))
		time.Sleep(time.Duration(500+rand.IntN(1500)) * time.Millisecond)
		n.Kill()
		table.row(name).kills++
		n.startReady(t)
	}
	l.finish(t)
	verify(t, n.url(), l, table)
	return len(l.acked) * perRequest
}

// label names the samples of a row in a round.
func label(name string, round int) string { return fmt.Sprintf("%s#%d", name, round) }

// again varies the counts of the rounds after the first.
func again(round, hit int) int {
	if round == 0 {
		return hit
	}
	return 1 + rand.IntN(2*hit+2)
}

func (n *node) dieAt(t *testing.T, name string, hit int) {
	t.Helper()
	failpoint := name + ":" + strconv.Itoa(hit)
	n.start(t, failpoint)
	n.awaitDeath(t, failpoint)
}

// loseEngineAt lets the process kill its own engine at a point; the process lives on until the load went on too.
func (n *node) loseEngineAt(t *testing.T, name string, hit int, l *load) {
	t.Helper()
	n.start(t, name+":"+strconv.Itoa(hit)+":children")
	first := 0
	eventually(t, "the engine starts", func() error {
		if first = n.engine(); first == 0 {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	n.awaitNewEngine(t, first)
	n.awaitLoad(t, l)
	n.Kill()
}

// awaitLoad waits until some more requests were acknowledged.
func (n *node) awaitLoad(t *testing.T, l *load) {
	t.Helper()
	before := l.progress()
	eventually(t, "writes go on", func() error {
		if now := l.progress(); now < before+20 {
			return fmt.Errorf("%d requests", now-before)
		}
		return nil
	})
}

// killEngineAnywhere kills the engine at moments that chance chooses.
func (n *node) killEngineAnywhere(t *testing.T, l *load, round int, table *table) {
	t.Helper()
	const name = "engine, anywhere"
	l.mark(label(name, round))
	for range 3 {
		time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		before := n.engine()
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatalf("cannot kill the engine, process %d: %v", before, err)
		}
		table.row(name).kills++
		n.awaitNewEngine(t, before)
		n.awaitLoad(t, l)
	}
}

// killEngineAtRename kills the engine when it renames a part, which is how ClickHouse commits one.
func (n *node) killEngineAtRename(t *testing.T, l *load, round int, table *table) {
	t.Helper()
	const name = "engine at the rename of a part"
	strace := testenv.GetStrace(t)
	l.mark(label(name, round))
	for _, when := range []int{1, 4, 9} {
		before := n.engine()
		cmd := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-p", strconv.Itoa(before), "-e", "trace=rename,renameat,renameat2",
			"-e", fmt.Sprintf("inject=rename,renameat,renameat2:signal=SIGKILL:when=%d", when))
		if err := cmd.Start(); err != nil {
			t.Fatalf("cannot start strace: %v", err)
		}
		n.awaitNewEngine(t, before)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("strace: %v", err)
		}
		table.row(name).kills++
		n.awaitLoad(t, l)
	}
}

// replay reads the whole log again, once because no offset is committed and once because the tables know of no
// progress, and compares the tables.
func (n *node) replay(t *testing.T, samples int) {
	t.Helper()
	n.stop(t)
	was := n.sums(t, samples, func(*database) {})
	if err := os.Remove(filepath.Join(n.data(), "log", "offsets")); err != nil {
		t.Fatal(err)
	}
	n.readAll(t, samples)
	unchanged(t, "a replay without committed offsets", was, n.sums(t, samples, (*database).forget))
	n.readAll(t, samples)
	unchanged(t, "a replay without progress", was, n.sums(t, samples, func(*database) {}))
}

// readAll runs until the log is read, with nothing written to it.
func (n *node) readAll(t *testing.T, samples int) {
	t.Helper()
	n.startReady(t)
	n.awaitRead(t, samples)
	n.stop(t)
}

// sums computes the checksums of the stopped node's tables and then does something else to them.
func (n *node) sums(t *testing.T, samples int, then func(*database)) map[string]sum {
	t.Helper()
	var sums map[string]sum
	n.withTables(t, func(d *database) {
		sums = d.sums()
		if keys := d.keys(); keys != samples {
			t.Errorf("the tables have %d samples, acknowledged were %d", keys, samples)
		}
		t.Logf("%d samples in %d rows", samples, sums["samples"].rows+sums["histograms"].rows)
		then(d)
	})
	return sums
}

// withTables opens the tables of a node that does not run.
func (n *node) withTables(t *testing.T, do func(*database)) {
	t.Helper()
	if n.tables != nil {
		do(n.tables)
		return
	}
	own := testenv.StartOwnEngine(t, filepath.Join(n.data(), "clickhouse"))
	defer own.Close()
	d := openDatabase(t, own.DSN())
	defer d.Close()
	do(d)
}
