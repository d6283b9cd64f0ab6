package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// row is what a table says of one point.
type row struct{ kills, acked, lost, doubled, wrong int }

const rowFormat = "| %d | %d | %d | %d | %d |"

func (r *row) String() string {
	return fmt.Sprintf(rowFormat, r.kills, r.acked, r.lost, r.doubled, r.wrong)
}

func (r *row) add(o row) {
	*r = row{r.kills + o.kills, r.acked + o.acked, r.lost + o.lost, r.doubled + o.doubled, r.wrong + o.wrong}
}

// table counts what happened at each point, over all rounds.
type table struct{ rows map[string]*row }

// row returns the row of a label; what stands behind a # in the label is the round.
func (t *table) row(label string) *row {
	name, _, _ := strings.Cut(label, "#")
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	if t.rows[name] == nil {
		t.rows[name] = &row{}
	}
	return t.rows[name]
}

// print shows the table as Markdown, and puts its rows into tableFile where there is one. The title says where it was.
func (t *table) print(to *testing.T, title string) {
	var rows []string
	for name, r := range t.rows {
		rows = append(rows, fmt.Sprintf("| %s | %s %s", title, name, r))
	}
	to.Log("\n" + markdown(rows))
	if *tableFile == "" {
		return
	}
	if err := replaceRows(*tableFile, title, rows); err != nil {
		to.Errorf("cannot write the table %q: %v", title, err)
	}
}

// markdown is a table of these rows, in order and with their sum.
func markdown(rows []string) string {
	var all row
	for _, r := range rows {
		var one row
		_, numbers, _ := strings.Cut(strings.TrimPrefix(r, "| "), " | ")
		_, numbers, _ = strings.Cut(numbers, " | ")
		if _, err := fmt.Sscanf("| "+numbers, rowFormat, &one.kills, &one.acked, &one.lost, &one.doubled, &one.wrong); err != nil {
			panic(fmt.Sprintf("%s is no row: %v", r, err))
		}
		all.add(one)
	}
	rows = slices.Sorted(slices.Values(rows))
	const head = "| where | point | kills | samples acknowledged | lost | doubled | wrong |\n|---|---|--:|--:|--:|--:|--:|\n"
	return head + strings.Join(rows, "\n") + "\n| **all** | " + all.String() + "\n"
}

// writing keeps tests that end at once from writing the file at once.
var writing sync.Mutex

// replaceRows puts the rows of a title in the place of those that the table in a file has of it.
func replaceRows(path, title string, rows []string) error {
	const begin, end = "<!-- chaos -->\n", "<!-- /chaos -->"
	writing.Lock()
	defer writing.Unlock()
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(file), begin)
	old, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for it: %s%s", path, begin, end)
	}
	for i, line := range strings.Split(strings.TrimSpace(old), "\n") {
		if i >= 2 && !strings.HasPrefix(line, "| **all** |") && !strings.HasPrefix(line, "| "+title+" |") {
			rows = append(rows, line)
		}
	}
	return os.WriteFile(path, []byte(before+begin+markdown(rows)+end+after), 0o644)
}

func TestReplaceRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("a\n<!-- chaos -->\n<!-- /chaos -->\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ title, row string }{
		{"one", "| one | old | 1 | 2 | 3 | 4 | 5 |"}, {"two", "| two | x: y, z | 1 | 1 | 0 | 0 | 0 |"}, {"one", "| one | new | 2 | 9 | 8 | 0 | 0 |"},
	} {
		if err := replaceRows(path, step.title, []string{step.row}); err != nil {
			t.Fatal(err)
		}
	}
	const want = "a\n<!-- chaos -->\n| where | point | kills | samples acknowledged | lost | doubled | wrong |\n|---|---|--:|--:|--:|--:|--:|\n" +
		"| one | new | 2 | 9 | 8 | 0 | 0 |\n| two | x: y, z | 1 | 1 | 0 | 0 | 0 |\n| **all** | | 3 | 10 | 8 | 0 | 0 |\n<!-- /chaos -->\nb\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if replaceRows(path, "one", nil) == nil {
		t.Error("a file without a place for tables was taken")
	}
}
