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

// table counts what happened at each point, over all rounds.
type table struct {
	names []string
	rows  map[string]*row
}

// row returns the row of a label; what stands behind a # in the label is the round.
func (t *table) row(label string) *row {
	name, _, _ := strings.Cut(label, "#")
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	if t.rows[name] == nil {
		t.names = append(t.names, name)
		t.rows[name] = &row{}
	}
	return t.rows[name]
}

// print shows the table as Markdown, and writes it into tableFile where there is one.
func (t *table) print(to *testing.T, title string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n\n| point | kills | samples acknowledged | lost | doubled | wrong |\n|---|--:|--:|--:|--:|--:|\n", title)
	all := row{}
	slices.Sort(t.names)
	for _, name := range t.names {
		r := t.rows[name]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", name, r.kills, r.acked, r.lost, r.doubled, r.wrong)
		all = row{all.kills + r.kills, all.acked + r.acked, all.lost + r.lost, all.doubled + r.doubled, all.wrong + r.wrong}
	}
	fmt.Fprintf(&b, "| **all** | %d | %d | %d | %d | %d |\n", all.kills, all.acked, all.lost, all.doubled, all.wrong)
	to.Log(b.String())
	if *tableFile == "" {
		return
	}
	if err := replaceTable(*tableFile, title, b.String()); err != nil {
		to.Errorf("cannot write the table %q: %v", title, err)
	}
}

// writing keeps tests that end at once from writing the file at once.
var writing sync.Mutex

// replaceTable puts a text between the markers of a title; where there are none, markers and text go before the
// marker of what is new.
func replaceTable(path, title, text string) error {
	const end, more = "<!-- /chaos -->", "<!-- chaos: more -->"
	begin := "<!-- chaos: " + title + " -->"
	writing.Lock()
	defer writing.Unlock()
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, section := string(raw), begin+"\n"+text+end
	before, rest, found := strings.Cut(file, begin)
	if found {
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return fmt.Errorf("%s has no %s after %s", path, end, begin)
		}
		file = before + section + after
	} else {
		if !strings.Contains(file, more) {
			return fmt.Errorf("%s has neither %s nor %s", path, begin, more)
		}
		file = strings.Replace(file, more, section+"\n\n"+more, 1)
	}
	return os.WriteFile(path, []byte(file), 0o644)
}

func TestReplaceTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("a\n<!-- chaos: more -->\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ title, text string }{{"one", "old\n"}, {"two", "2\n"}, {"one", "new\n"}} {
		if err := replaceTable(path, step.title, step.text); err != nil {
			t.Fatal(err)
		}
	}
	const want = "a\n<!-- chaos: one -->\nnew\n<!-- /chaos -->\n\n<!-- chaos: two -->\n2\n<!-- /chaos -->\n\n<!-- chaos: more -->\nb\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if replaceTable(path, "one", "x") == nil {
		t.Error("a file without a place for tables was taken")
	}
}
