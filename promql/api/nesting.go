package api

import (
	"fmt"

	"github.com/prometheus/prometheus/promql/parser"
)

// Evaluating and printing an expression recurse into it: a text of a few megabytes of brackets or pluses would
// end the process by its stack, and lay out as gigabytes. No dashboard comes near these limits.
const (
	maxQueryBytes = 100_000
	maxQueryDepth = 500

	// The parser's time grows with the square of the operators in one chain, and nothing ends it: a hundred
	// kilobytes of 1+1+1 keep it busy for ten seconds, this many for some hundredths of one.
	maxQueryOperators = 5_000

	// shallowBytes is a length at which the depth need not be looked at: a level takes two bytes.
	shallowBytes = 2 * maxQueryDepth
)

// checkQuery refuses a query that is too long or nested too deep. What does not parse passes: who parses it next
// says what is wrong.
func (a *API) checkQuery(query string) error {
	if len(query) > maxQueryBytes {
		return invalidParam("query", fmt.Errorf("the query has %d bytes, at most %d are allowed", len(query), maxQueryBytes))
	}
	if len(query) <= shallowBytes {
		return nil
	}
	if operators(query) > maxQueryOperators {
		return invalidParam("query", fmt.Errorf("the query has more than %d operators and brackets", maxQueryOperators))
	}
	expr, err := a.Parser.ParseExpr(query)
	if err != nil {
		return nil
	}
	if deeper(expr, maxQueryDepth) {
		return invalidParam("query", fmt.Errorf("the query is nested more than %d levels deep", maxQueryDepth))
	}
	return nil
}

// operators counts what makes an expression deep, without parsing it.
func operators(query string) int {
	n := 0
	lexer := parser.Lex(query)
	for {
		var item parser.Item
		lexer.NextItem(&item)
		switch {
		case item.Typ == parser.EOF || item.Typ == parser.ERROR:
			return n
		case item.Typ == parser.LEFT_PAREN || item.Typ.IsOperator():
			n++
		}
	}
}

// deeper tells whether an expression has more levels than that.
func deeper(n parser.Node, levels int) bool {
	if levels == 0 {
		return true
	}
	for child := range parser.ChildrenIter(n) {
		if deeper(child, levels-1) {
			return true
		}
	}
	return false
}
