package sqlgen

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The statements that compare a shadow are golden too.
func TestShadowStatementsAreGolden(t *testing.T) {
	c := Compared{Live: "live", Shadow: "it`s\\", Table: "samples", Identity: "reinterpretAsUInt64(value)", Show: "toString(value)"}
	day := Day(0, 86399999)
	part := Slice{MinMs: 0, MaxMs: 86399999, MinMetric: 7, MaxMetric: 7, Of: 3, Part: 1}
	var b strings.Builder
	for _, s := range []struct{ name, text string }{
		{"rows", c.Rows(day)},
		{"difference", c.Difference(day, 5)},
		{"difference of a part", c.Difference(part, 5)},
		{"examples", c.Examples(day, 1, 2, 3)},
		{"copy", c.Copy(part, []string{"metric", "id"})},
	} {
		fmt.Fprintf(&b, "# %s\n%s\n\n", s.name, s.text)
	}
	const file = "testdata/shadow.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("statements changed; look at them and run with -update:\n%s", diff)
	}
}
