package storetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

var matcherCases = []testCase{
	{"a missing label is the empty string", missingLabel},
	{"regular expressions are anchored", anchored},
	{"every value with every matcher", everyMatcher},
	{"label names of any kind", anyLabelName},
	{"without a metric name", withoutName},
	{"pairs of matchers", matcherPairs},
}

func eq(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

func neq(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchNotEqual, name, value)
}

func re(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchRegexp, name, value)
}

func nre(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchNotRegexp, name, value)
}

// matched compares the values of one label in what the matchers choose; a series without it is "-".
func (f *fixture) matched(label string, matchers []*labels.Matcher, want ...string) {
	f.Helper()
	sel := f.all()
	sel.Matchers = matchers
	var got, listed []string
	for _, d := range f.read(sel) {
		got = append(got, orDash(d.Labels.Get(label)))
	}
	slices.Sort(got)
	f.same(fmt.Sprint(matchers, want), fmt.Sprint(matchers, got))
	series, err := f.store.Series(f.Context(), sel)
	if err != nil {
		f.Fatalf("cannot list series: %v", err)
	}
	for _, ls := range series {
		listed = append(listed, orDash(ls.Get(label)))
	}
	slices.Sort(listed)
	f.same(fmt.Sprint("series ", matchers, want), fmt.Sprint("series ", matchers, listed))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func missingLabel(f *fixture) {
	f.write(f.batch().sample(metric("up"), baseMs, 1).sample(metric("up", "job", "a"), baseMs, 1).sample(metric("up", "job", "b"), baseMs, 1))
	up := eq("__name__", "up")
	for _, c := range []struct {
		matcher *labels.Matcher
		want    []string
	}{
		{eq("job", ""), []string{"-"}},
		{neq("job", ""), []string{"a", "b"}},
		{re("job", ""), []string{"-"}},
		{nre("job", ""), []string{"a", "b"}},
		{re("job", ".*"), []string{"-", "a", "b"}},
		{nre("job", ".*"), nil},
		{re("job", ".+"), []string{"a", "b"}},
		{nre("job", ".+"), []string{"-"}},
		{re("job", "a|"), []string{"-", "a"}},
		{nre("job", "a|"), []string{"b"}},
		{re("job", "a?"), []string{"-", "a"}},
		{neq("job", "a"), []string{"-", "b"}},
		{nre("job", "a"), []string{"-", "b"}},
		{eq("none", ""), []string{"-", "a", "b"}},
		{neq("none", "x"), []string{"-", "a", "b"}},
		{eq("none", "x"), nil},
		{re("none", ".+"), nil},
	} {
		f.matched("job", []*labels.Matcher{up, c.matcher}, c.want...)
	}
}

func anchored(f *fixture) {
	b := f.batch()
	for _, v := range []string{"a", "ab", "ba", "a.b", "axb", "A", "a\nb", "\na", "a\n"} {
		b.sample(metric("up", "job", v), baseMs, 1)
	}
	f.write(b)
	for _, c := range []struct {
		matcher *labels.Matcher
		want    []string
	}{
		{re("job", "a"), []string{"a"}},
		{re("job", "a|b"), []string{"a"}},
		{re("job", "b|a"), []string{"a"}},
		{re("job", "^a$"), []string{"a"}},
		{re("job", "a.b"), []string{"a\nb", "a.b", "axb"}},
		{re("job", `a\.b`), []string{"a.b"}},
		{re("job", "(?i)a"), []string{"A", "a"}},
		{re("job", "a.+"), []string{"a\n", "a\nb", "a.b", "ab", "axb"}},
		{re("job", ".*b"), []string{"a\nb", "a.b", "ab", "axb"}},
		{re("job", "(?:a|ab)"), []string{"a", "ab"}},
		{re("job", "[^b]+"), []string{"\na", "A", "a", "a\n"}},
		{nre("job", ".*a.*"), []string{"A"}},
		{re("job", `\na|A`), []string{"\na", "A"}},
		{re("__name__", "u.|x"), []string{"\na", "A", "a", "a\n", "a\nb", "a.b", "ab", "axb", "ba"}},
		{re("__name__", "u"), nil},
	} {
		f.matched("job", []*labels.Matcher{neq("__name__", ""), c.matcher}, c.want...)
	}
}

// oddValues are what has broken those who put values together with SQL, and what tells bytes from runes.
var oddValues = []string{
	"plain", "it's", `say "hi"`, `C:\dir\new`, `\`, `\\`, `\'`, `'`, `''`, `"`, "`", "a\tb", "a\r\nb", "a\x00b", "%", "_", "%_%",
	"'; DROP TABLE samples; --", "' OR 1=1 --", `\' OR '1'='1`, "{job}", "{a:String}", "$1", "?", "@x", ":x", "/* x */", "a;b", "a,b", "[1,2]",
	"(a|b)", "a+b", "a*b", "^a$", "ü", "日本語", "😀", "e\u0301", "é", "\u2028", "\u202e", " ", " a", "a ", "NULL", "null", "true", "0", "-0", "NaN",
	strings.Repeat("x", 2000),
}

func everyMatcher(f *fixture) {
	b := f.batch()
	for _, v := range oddValues {
		b.sample(metric("odd", "v", v), baseMs, 1)
	}
	f.write(b)
	all := slices.Clone(oddValues)
	slices.Sort(all)
	for _, v := range oddValues {
		others := slices.DeleteFunc(slices.Clone(all), func(o string) bool { return o == v })
		f.matched("v", []*labels.Matcher{eq("__name__", "odd"), eq("v", v)}, v)
		f.matched("v", []*labels.Matcher{eq("__name__", "odd"), re("v", regexp.QuoteMeta(v))}, v)
		f.matched("v", []*labels.Matcher{eq("__name__", "odd"), neq("v", v)}, others...)
		f.matched("v", []*labels.Matcher{eq("__name__", "odd"), nre("v", "zzz|"+regexp.QuoteMeta(v))}, others...)
	}
	values, err := f.store.LabelValues(f.Context(), "v", f.all())
	if err != nil {
		f.Fatal(err)
	}
	f.same(all, values)
}

func anyLabelName(f *fixture) {
	names := []string{"http.status", "it's", `"`, `back\slash`, "ü", "with space", "'; DROP TABLE series; --", "__meta", "1st", "a,b", "{x}", "日本"}
	b := f.batch()
	for _, n := range names {
		b.sample(metric("m.dots "+n, n, "x"), baseMs, 1)
	}
	f.write(b)
	for _, n := range names {
		f.matched(n, []*labels.Matcher{eq(n, "x")}, "x")
		f.matched("__name__", []*labels.Matcher{eq("__name__", "m.dots "+n), re(n, "x|y")}, "m.dots "+n)
		values, err := f.store.LabelValues(f.Context(), n, f.all())
		if err != nil {
			f.Fatal(err)
		}
		f.same([]string{"x"}, values)
	}
	got, err := f.store.LabelNames(f.Context(), f.all())
	if err != nil {
		f.Fatal(err)
	}
	want := append([]string{"__name__"}, names...)
	slices.Sort(want)
	f.same(want, got)
}

func withoutName(f *fixture) {
	f.write(f.batch().sample(metric("a", "job", "x"), baseMs, 1).sample(metric("b", "job", "x"), baseMs, 1).
		sample(labels.FromStrings("job", "x"), baseMs, 1).sample(metric("b", "job", "y"), baseMs, 1))
	f.matched("__name__", []*labels.Matcher{eq("job", "x")}, "-", "a", "b")
	f.matched("__name__", []*labels.Matcher{eq("__name__", ""), eq("job", "x")}, "-")
	f.matched("__name__", []*labels.Matcher{re("job", "x|y"), neq("__name__", "b")}, "-", "a")
	f.matched("__name__", []*labels.Matcher{re("job", ".+"), re("__name__", "a|b")}, "a", "b", "b")
}

func matcherPairs(f *fixture) {
	b := f.batch()
	var series []labels.Labels
	for _, name := range []string{"a", "b"} {
		for _, x := range []string{"", "1", "2"} {
			for _, y := range []string{"", "1", "3"} {
				ls := labels.FromMap(map[string]string{"__name__": name, "x": x, "y": y, "id": name + x + "." + y}).WithoutEmpty()
				series = append(series, ls)
				b.sample(ls, baseMs, 1)
			}
		}
	}
	f.write(b)
	var matchers []*labels.Matcher
	for _, name := range []string{"__name__", "x", "y"} {
		for _, value := range []string{"", "1", "a", "1|2", "1|", ".*", ".+"} {
			matchers = append(matchers, eq(name, value), neq(name, value), re(name, value), nre(name, value))
		}
	}
	for i, m := range matchers {
		for _, o := range []*labels.Matcher{matchers[(i*7+3)%len(matchers)], matchers[(i*5+1)%len(matchers)]} {
			var want []string
			for _, ls := range series {
				if m.Matches(ls.Get(m.Name)) && o.Matches(ls.Get(o.Name)) {
					want = append(want, ls.Get("id"))
				}
			}
			slices.Sort(want)
			f.matched("id", []*labels.Matcher{neq("id", ""), m, o}, want...)
		}
	}
}
