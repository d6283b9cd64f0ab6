package chaos

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRestore puts back a ClickHouse folder of an earlier day under a log that went on: the offsets that are committed
// are ahead of the tables. What is missing is read from the log again, by itself. A folder that is lost altogether is
// the same.
func TestRestore(t *testing.T) {
	t.Parallel()
	var table table
	defer table.print(t, "embedded, tables restored")
	rounds(t, func(t *testing.T, round int) { newNode(t, "all").restore(t, round, &table) })
}

func (n *node) restore(t *testing.T, round int, rows *table) {
	t.Helper()
	tables, backup := filepath.Join(n.data(), "clickhouse"), filepath.Join(n.dir, "backup")
	l := startLoad(t, n.address, label("before the backup", round))
	n.startReady(t)
	n.awaitLoad(t, l)
	n.stop(t)
	if out, err := exec.Command("cp", "-a", tables, backup).CombinedOutput(); err != nil {
		t.Fatalf("cannot copy the tables: %v: %s", err, out)
	}
	l.mark(label("after the backup", round))
	n.startReady(t)
	n.awaitLoad(t, l)
	l.finish(t)
	verify(t, n.url(), l, rows)
	n.stop(t)
	samples := len(l.acked) * perRequest
	was := n.sums(t, samples, func(*database) {})
	for _, from := range []string{"a backup", "nothing", "nothing, and dies once while it catches up"} {
		if err := os.RemoveAll(tables); err != nil {
			t.Fatal(err)
		}
		switch from {
		case "a backup":
			if err := os.Rename(backup, tables); err != nil {
				t.Fatal(err)
			}
		case "nothing":
		default:
			n.dieAt(t, "clickhouse/after-day", 2)
			rows.row("after the backup").kills++
		}
		n.startReady(t)
		verify(t, n.url(), l, new(table)) // counted above
		n.stop(t)
		unchanged(t, "a start from "+from, was, n.sums(t, samples, func(*database) {}))
	}
}
