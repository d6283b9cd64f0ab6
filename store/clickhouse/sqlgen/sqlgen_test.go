package sqlgen

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
)

var update = flag.Bool("update", false, "write the golden file")

// The text of every statement is golden: a change of it has to be looked at.
func TestStatementsAreGolden(t *testing.T) {
	m := labels.MustNewMatcher
	selection := func(ms ...*labels.Matcher) Series {
		return Series{Tenant: "anonymous", Matchers: ms, FirstDay: 20000, LastDay: 20002}
	}
	few := Points{Keys: []store.Key{{Metric: 1, ID: 10}, {Metric: 1, ID: 11}, {Metric: 2, ID: 5}}, MinMs: -1, MaxMs: 1000}
	many := Points{Keys: make([]store.Key, MaxListed+1), MinMs: 0, MaxMs: 1000}
	up := m(labels.MatchEqual, "__name__", "up")
	var b strings.Builder
	for _, c := range []struct {
		name      string
		statement Statement
	}{
		{"every series", selection().Select()},
		{"by name", selection(up).Select()},
		{"equal", selection(up, m(labels.MatchEqual, "job", "it's")).Select()},
		{"missing", selection(up, m(labels.MatchEqual, "job", "")).Select()},
		{"not equal", selection(up, m(labels.MatchNotEqual, "job", "a")).Select()},
		{"regexp", selection(up, m(labels.MatchRegexp, "job", `a.*\d`)).Select()},
		{"regexp of words", selection(m(labels.MatchRegexp, "__name__", `up|down`), m(labels.MatchRegexp, "job", `a'|b`)).Select()},
		{"not regexp", selection(up, m(labels.MatchNotRegexp, "job", `a.*`)).Select()},
		{"not regexp of words", selection(up, m(labels.MatchNotRegexp, "job", `a|b|`)).Select()},
		{"names of all", selection().Names()},
		{"names", selection(up).Names()},
		{"values of all", selection().Values("job")},
		{"values", selection(up).Values("job")},
		{"metric names", selection(m(labels.MatchEqual, "job", "a")).Values("__name__")},
		{"samples", few.Samples()},
		{"samples of many", many.Samples()},
		{"histograms", few.Histograms()},
		{"starts", few.Starts()},
		{"exemplars", few.Exemplars()},
		{"rows of a tier", few.Tier("rollup_1m", []string{"metric", "id", "bucket", "n"}, rollup.Windows{})},
		{"rows of a tier in windows", few.Tier("rollup_1m", []string{"metric", "id", "bucket", "n"}, rollup.Windows{FirstMs: 1_800_000, StepMs: 600_000, RangeMs: 90_000})},
		{"raw of all series", Points{MinMs: 1, MaxMs: 1000}.Raw("samples", []string{"metric", "id", "ts"})},
		{"raw", few.Raw("samples", []string{"metric", "id", "ts"})},
		{"metadata", Metadata("anonymous", "")},
		{"metadata of one", Metadata("anonymous", "up")},
	} {
		fmt.Fprintf(&b, "# %s\n%s\n", c.name, c.statement.Text)
		for _, p := range c.statement.Params {
			fmt.Fprintf(&b, "  %s = %s\n", p.Name, p.Value)
		}
		b.WriteByte('\n')
	}
	const file = "testdata/statements.txt"
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

// What comes from outside is in the parameters and never in the text.
func TestTextHoldsNothingFromOutside(t *testing.T) {
	const evil = `evil' OR 1=1 --\`
	for _, typ := range []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual} {
		s := Series{Tenant: evil, Matchers: []*labels.Matcher{labels.MustNewMatcher(typ, evil, evil)}}
		for _, st := range []Statement{s.Select(), s.Names(), s.Values(evil), Metadata(evil, evil)} {
			if strings.Contains(st.Text, "evil") {
				t.Errorf("%s", st.Text)
			}
		}
	}
	s := Series{Tenant: "t", Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "a", "evil.*"), labels.MustNewMatcher(labels.MatchNotRegexp, "evil", "x|evil")}}
	if st := s.Select(); strings.Contains(st.Text, "evil") {
		t.Errorf("%s", st.Text)
	}
}

func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{
		"":         `''`,
		"a":        `'a'`,
		"it's":     `'it\'s'`,
		`\`:        `'\\\\'`,
		"\t\n\r":   `'\\t\\n\\r'`,
		"a\x00b":   `'a\\0b'`,
		`\N`:       `'\\\\N'`,
		"é\xff'\\": "'é\xff\\'\\\\\\\\'",
	} {
		if got := quote(Escape(in)); got != want {
			t.Errorf("%q is %s, wanted %s", in, got, want)
		}
	}
}
