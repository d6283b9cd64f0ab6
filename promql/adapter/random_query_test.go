package adapter_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// grammar makes random expressions over the metrics of randomStores.
type grammar struct {
	rng       *rand.Rand
	functions []*parser.Function
}

func newGrammar(rng *rand.Rand) *grammar {
	g := &grammar{rng: rng}
	for _, name := range slices.Sorted(maps.Keys(parser.Functions)) {
		g.functions = append(g.functions, parser.Functions[name])
	}
	return g
}

func (g *grammar) pick(from ...string) string { return from[g.rng.IntN(len(from))] }

func (g *grammar) duration() string { return g.pick("15s", "1m", "90s", "5m", "7m", "20m", "1ms") }

func (g *grammar) selector() string {
	name := g.pick("counter_total", "counter_total", "gauge", "hist", "gauge_hist", "mixed", "custom")
	matchers := g.pick("", "", `{job="a"}`, `{job!="a"}`, `{instance=~"0|1"}`, `{job="b",instance!~"1.*"}`, `{nope=""}`, `{nope!=""}`)
	if g.rng.IntN(15) == 0 {
		name, matchers = "", g.pick(`{__name__=~"gauge|counter.*"}`, `{__name__!="mixed",job="a"}`, `{job=~".+"}`)
	}
	return name + matchers
}

// modifiers stand behind selectors and subqueries.
func (g *grammar) modifiers() string {
	out := ""
	if g.rng.IntN(6) == 0 {
		out += " offset " + g.pick("", "-") + g.duration()
	}
	if g.rng.IntN(8) == 0 {
		out += g.pick(" @ start()", " @ end()", fmt.Sprintf(" @ %d.5", g.rng.IntN(spanMs/1000)))
	}
	return out
}

func (g *grammar) matrix(depth int) string {
	if depth > 0 && g.rng.IntN(4) == 0 {
		return fmt.Sprintf("(%s)[%s:%s]%s", g.vector(depth-1), g.pick("5m", "3m", "11m"), g.pick("", "15s", "1m", "40s"), g.modifiers())
	}
	extended := ""
	if g.rng.IntN(12) == 0 {
		extended = g.pick(" anchored", " smoothed")
	}
	return fmt.Sprintf("%s[%s]%s%s", g.selector(), g.duration(), extended, g.modifiers())
}

func (g *grammar) scalar(depth int) string {
	if depth > 0 && g.rng.IntN(6) == 0 {
		return "scalar(" + g.vector(depth-1) + ")"
	}
	return g.pick("0", "0.5", "-1", "2", "3.75", "1e3", "time()", "NaN", "Inf", "0.99")
}

func (g *grammar) text() string { return g.pick(`"job"`, `"instance"`, `"new"`, `"__name__"`) }

func (g *grammar) vector(depth int) string {
	if depth == 0 {
		return g.selector() + g.modifiers()
	}
	switch g.rng.IntN(8) {
	case 0, 1:
		return g.aggregation(depth - 1)
	case 2:
		return g.binary(depth - 1)
	case 3:
		return g.selector() + g.modifiers()
	case 4:
		return "-" + g.call(depth-1)
	}
	return g.call(depth - 1)
}

func (g *grammar) aggregation(depth int) string {
	op := g.pick("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio")
	grouping := g.pick("", "", " by (job)", " without (instance)", " by (job, instance)", " by (__name__)", " by (nope)")
	argument := ""
	switch op {
	case "topk", "bottomk", "limitk":
		argument = g.pick("1", "2", "5") + ", "
	case "quantile":
		argument = g.pick("0.5", "0.9", "-1", "1", "NaN") + ", "
	case "limit_ratio":
		argument = g.pick("0.5", "-0.3", "1") + ", "
	case "count_values":
		argument = `"value", `
	}
	if op == "topk" || op == "bottomk" || op == "limitk" {
		depth = 0 // the engine puts what functions return into no particular order
	}
	return fmt.Sprintf("%s%s (%s%s)", op, grouping, argument, g.vector(depth))
}

func (g *grammar) binary(depth int) string {
	if g.rng.IntN(3) == 0 {
		op := g.pick("+", "-", "*", "/", "%", "^", "==", "!=", ">", "< bool", ">= bool", "<=", "atan2", "</", ">/")
		sides := []string{g.vector(depth), g.scalar(depth)}
		if g.rng.IntN(2) == 0 {
			slices.Reverse(sides)
		}
		return fmt.Sprintf("(%s) %s (%s)", sides[0], op, sides[1])
	}
	op := g.pick("+", "-", "*", "/", "==", "> bool", "and", "or", "unless")
	matching := g.pick("", " on (job, instance)", " ignoring (__name__)", " on (job)")
	if op != "and" && op != "or" && op != "unless" && matching == " on (job)" {
		matching += g.pick("", " group_left", " group_right")
	}
	return fmt.Sprintf("(%s) %s%s (%s)", g.vector(depth), op, matching, g.vector(depth))
}

// call calls any of the parser's functions with arguments of its types.
func (g *grammar) call(depth int) string {
	f := g.functions[g.rng.IntN(len(g.functions))]
	if f.ReturnType != parser.ValueTypeVector {
		return "vector(" + g.scalar(depth) + ")"
	}
	types := f.ArgTypes
	if f.Variadic != 0 && g.rng.IntN(2) == 0 {
		types = types[:len(types)-1]
	}
	var args []string
	for _, typ := range types {
		switch typ {
		case parser.ValueTypeVector:
			args = append(args, g.vector(depth))
		case parser.ValueTypeMatrix:
			args = append(args, g.matrix(depth))
		case parser.ValueTypeScalar:
			args = append(args, g.scalar(depth))
		case parser.ValueTypeString:
			args = append(args, g.text())
		}
	}
	if f.Name == "label_replace" {
		args = append(args[:1], g.text(), g.pick(`"$1"`, `"x"`, `""`), g.text(), g.pick(`"(.*)"`, `"a|0"`))
	}
	return f.Name + "(" + strings.Join(args, ", ") + ")"
}
