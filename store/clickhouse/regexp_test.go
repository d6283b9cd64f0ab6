package clickhouse_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// RE2 in the server decides as Go does, whatever the expression and the value.
func TestRegularExpressionsAreThoseOfPrometheus(t *testing.T) {
	s := open(t)
	values := []string{
		"", "a", "b", "ab", "A", "aB", "a\nb", "\n", "a\n", "\na", "1", "12", "é", "É", "日本", "foo", "foobar", "xfoo", "foo.bar", "fooxbar",
		"10.0.0.1:9100", "a|b", "(", "^a$", `\d`, "a'b", "\x00", " ", "aaa", "aaaa", "foo-1", "foo-12", "K", "\u212a", "ſ", "s",
	}
	expressions := []string{
		"", "a", "a|b", "a|", "|a", ".", ".*", ".+", "a.b", "a.*", ".*a.*", "(?i)a", "(?i:A)b", "(?i)k", "(?i)s", "(?-s).", "(?-s)a.b", "(?m)^a$", "(?m)a$\n", "^a", "a$", "^$",
		"foo.*", ".*foo", "foo.*bar", "foo|foobar", "(foo|xfoo)(bar)?", "foo-[0-9]+", `foo-\d`, "foo[.]bar", `foo\.bar`, "[^a]", "[^a]*", `\w+`, `\W`, `\pL+`, `\p{Greek}`,
		"a{3}", "a{2,3}", "a+?", `\Qa|b\E`, `\^a\$`, `\\d`, "a'b", "\x00", `\x00`, "[[:alpha:]]+", `10\.0\..*:9100`, "é", "(é|日本)", ".日?.", "()", "(a)(b)?", "[a-c]|[0-9]", "(?:)", "a||b", `\S*`, `\z`, `(?s).+\n?`,
		"(?P<x>a)b", "a\nb", "(?U)a+", "foo(|bar)", "(.*)(1|2)", "(a|b|ab)*",
		"(?<x>a)b", `\x{65e5}.`, `\pN+`, "[[:^digit:]]", "(?i)ß", `a\z`, `\Aa`, `\bfoo\b.*`,
	}
	var sets []labels.Labels
	for i, v := range values {
		sets = append(sets, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "v", v))
	}
	write(t, s, batchOf("t", 0, sets...))
	for _, e := range expressions {
		for _, typ := range []labels.MatchType{labels.MatchRegexp, labels.MatchNotRegexp} {
			m := labels.MustNewMatcher(typ, "v", e)
			list, err := s.Series(context.Background(), everything("t", m))
			if err != nil {
				t.Errorf("%s: %v", m, err)
				continue
			}
			got := map[string]bool{}
			for _, ls := range list {
				got[ls.Get("v")] = true
			}
			for _, v := range values {
				if m.Matches(v) != got[v] {
					t.Errorf("%s on %q: %v", m, v, got[v])
				}
			}
		}
	}
}
