package chaos

import (
	"fmt"
	"slices"
	"strings"
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

// print shows the table as Markdown.
func (t *table) print(to *testing.T, title string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| point | kills | samples acknowledged | lost | doubled | wrong |\n|---|--:|--:|--:|--:|--:|\n", title)
	all := row{}
	slices.Sort(t.names)
	for _, name := range t.names {
		r := t.rows[name]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", name, r.kills, r.acked, r.lost, r.doubled, r.wrong)
		all = row{all.kills + r.kills, all.acked + r.acked, all.lost + r.lost, all.doubled + r.doubled, all.wrong + r.wrong}
	}
	fmt.Fprintf(&b, "| **all** | %d | %d | %d | %d | %d |\n", all.kills, all.acked, all.lost, all.doubled, all.wrong)
	to.Log(b.String())
}
