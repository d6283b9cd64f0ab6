package api

import "net/http"

// fixed answers with the shape of something that a receiver of remote writes does not have: targets, service
// discovery, rules. Prometheus' user interface and Grafana expect the shape, not a 404.
func fixed(json string) endpoint {
	return endpoint{get: true, handle: func(*http.Request) (result, error) { return result{data: fixedData(json)}, nil }}
}

type fixedData string

func (d fixedData) encode(e *encoder) error {
	e.raw(string(d))
	return nil
}
