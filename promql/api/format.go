package api

import "net/http"

// formatQuery answers /format_query: the expression with Prometheus' own layout, without comments.
func (a *API) formatQuery(r *http.Request) (result, error) {
	if err := a.checkQuery(r.FormValue("query")); err != nil {
		return result{}, err
	}
	expr, err := a.Parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return result{}, invalidParam("query", err)
	}
	return result{data: jsonData{expr.Pretty(0)}}, nil
}

// parseQuery answers /parse_query: the expression as a tree.
func (a *API) parseQuery(r *http.Request) (result, error) {
	if err := a.checkQuery(r.FormValue("query")); err != nil {
		return result{}, err
	}
	expr, err := a.Parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return result{}, invalidParam("query", err)
	}
	tree, err := treeOf(expr)
	if err != nil {
		return result{}, err
	}
	return result{data: jsonData{tree}}, nil
}
