package auth

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// refusal is an answer to a request that is not let in, in the envelope of the Prometheus API.
type refusal struct {
	code  int
	typ   string
	text  string
	after time.Duration // for Retry-After
}

func unauthorized(text string) *refusal {
	return &refusal{code: http.StatusUnauthorized, typ: "unauthorized", text: text}
}

func forbidden(text string) *refusal {
	return &refusal{code: http.StatusForbidden, typ: "forbidden", text: text}
}

func badRequest(text string) *refusal {
	return &refusal{code: http.StatusBadRequest, typ: "bad_data", text: text}
}

func unavailable(text string) *refusal {
	return &refusal{code: http.StatusServiceUnavailable, typ: "unavailable", text: text, after: 5 * time.Second}
}

func tooMany(wait time.Duration) *refusal {
	return &refusal{code: http.StatusTooManyRequests, typ: "too_many_requests", text: "too many requests with API keys that are not good came from this address", after: wait}
}

func (f *refusal) send(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if f.code == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `Bearer realm="MetricStream"`)
		h.Add("WWW-Authenticate", `Basic realm="MetricStream", charset="UTF-8"`)
	}
	if f.after > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.after.Seconds()))))
	}
	w.WriteHeader(f.code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": f.typ, "error": f.text}) // a client that is gone hears nothing
}
