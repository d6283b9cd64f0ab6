package plan_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/plan"
	"github.com/metricstream/metricstream/store/rollup"
)

var update = flag.Bool("update", false, "write testdata/routes.golden anew")

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
	dayMs    = 24 * hourMs

	nowMs = 20_000*dayMs + 13*hourMs + 37*minuteMs + 12_345
)

// coverage is that of the default retention: raw for a week, minutes for 30 days, hours for a year. The last two hours
// are not closed, and one of three days ago has late samples.
func coverage() rollup.Coverage {
	closed := int64(nowMs/hourMs*hourMs - hourMs)
	late := closed - 3*dayMs
	spans := func(days int64) []rollup.Span {
		return []rollup.Span{{FromMs: nowMs/dayMs*dayMs - days*dayMs, ToMs: late - hourMs}, {FromMs: late, ToMs: closed}}
	}
	return rollup.Coverage{
		{{FromMs: nowMs/dayMs*dayMs - 7*dayMs, ToMs: 1 << 62}}, spans(30), spans(365),
	}
}

// TestRoutes holds the route of every expression of testdata/expressions.txt, at several times each.
func TestRoutes(t *testing.T) {
	text, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		kinds, expr, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("%q has no kinds of times", line)
		}
		fmt.Fprintf(&out, "%s\n", expr)
		for kind := range strings.SplitSeq(kinds, ",") {
			routes(t, &out, expr, kind)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/routes.golden", []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/routes.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// queryOf returns the times of a kind.
func queryOf(t *testing.T, kind string) plan.Query {
	t.Helper()
	now := time.UnixMilli(nowMs)
	q := plan.Query{Start: now, End: now, Lookback: 5 * time.Minute, SubqueryStep: promql.SubqueryStep}
	between := func(d, step time.Duration) {
		q.End = now.Truncate(step)
		q.Start, q.Step = q.End.Add(-d).Truncate(step), step
	}
	switch kind {
	case "now":
	case "hour": // an instant on the hour
		q.Start = now.Truncate(time.Hour)
		q.End = q.Start
	case "1h":
		between(time.Hour, 15*time.Second)
	case "day":
		between(24*time.Hour, time.Minute)
	case "week":
		between(7*24*time.Hour, 10*time.Minute)
	case "month":
		between(30*24*time.Hour, time.Hour)
	case "odd": // a month at a step that is no multiple of an hour
		between(30*24*time.Hour, 25*time.Minute)
	case "year":
		between(365*24*time.Hour, 9*time.Hour)
	default:
		t.Fatalf("no kind of times %q", kind)
	}
	return q
}

func routes(t *testing.T, out *strings.Builder, text, kind string) {
	t.Helper()
	q := queryOf(t, kind)
	expr, err := promql.NewParser().ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if expr, err = plan.Preprocess(expr, q); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	p, err := plan.New(expr, q, coverage())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, s := range p.Selectors {
		name := s.Text
		if s.Function != "" {
			name = s.Function + "(" + s.Text + ")"
		}
		fmt.Fprintf(out, "  %-5s %-4s %s", kind, s.Tier, name)
		if s.Ragged {
			out.WriteString(" with raw ends")
		}
		if s.Group != nil {
			fmt.Fprintf(out, " in %s", s.Group.Op)
		}
		if s.Why != "" {
			fmt.Fprintf(out, "; not %s", s.Why)
		}
		if s.Approximate != nil {
			fmt.Fprintf(out, "; WARNS %s", s.Approximate.How)
		}
		if s.Missing != "" {
			fmt.Fprintf(out, "; WARNS %s", s.Missing)
		}
		out.WriteString("\n")
	}
	fmt.Fprintf(out, "  %-5s =>   %s\n", kind, p.Expr)
}
