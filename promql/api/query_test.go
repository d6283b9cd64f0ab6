package api_test

import (
	"net/http"
	"testing"
)

func TestQueryShapes(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), nil)
	for _, c := range []struct{ name, query, time, want string }{
		{"Grafana's health check", "1+1", "4", `{"resultType":"scalar","result":[4,"2"]}`},
		{"string", `"a<b"`, "1.5", `{"resultType":"string","result":[1.5,"a\u003cb"]}`},
		{"vector", `up{instance="a"}`, "60.001", `{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a","job":"api"},"value":[60.001,"1"]}]}`},
		{"no series", "nothing_here", "60", `{"resultType":"vector","result":[]}`},
		{"instant matrix", `odd{kind="inf"}[5m]`, "60", `{"resultType":"matrix","result":[{"metric":{"__name__":"odd","kind":"inf"},"values":[[0,"+Inf"],[60,"-Inf"]]}]}`},
		{"special values", `sort_by_label(odd{kind!~"esc.*"}, "kind")`, "0", `{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"odd","kind":"inf"},"value":[0,"+Inf"]},` +
			`{"metric":{"__name__":"odd","kind":"large"},"value":[0,"1e+21"]},` +
			`{"metric":{"__name__":"odd","kind":"nan"},"value":[0,"NaN"]},` +
			`{"metric":{"__name__":"odd","kind":"small"},"value":[0,"1e-07"]},` +
			`{"metric":{"__name__":"odd","kind":"zero"},"value":[0,"-0"]}]}`},
		{"histogram", `latency{job="neg"}`, "0", `{"resultType":"vector","result":[{"metric":{"__name__":"latency","job":"neg"},"histogram":[0,{"count":"6","sum":"-2","buckets":[` +
			`[1,"-1.414213562373095","-1","1"],[1,"-1","-0.7071067811865475","1"],[3,"-0.01","0.01","2"],[0,"0.7071067811865475","1","1"],[0,"1.414213562373095","2","1"]]}]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, got := call(t, server, http.MethodGet, "/api/v1/query", values("query", c.query, "time", c.time))
			if want := `{"status":"success","data":` + c.want + `}`; code != 200 || got != want {
				t.Errorf("got %d %s\nwant %s", code, got, want)
			}
		})
	}
}
