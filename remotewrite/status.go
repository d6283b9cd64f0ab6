package remotewrite

import (
	"encoding/json"
	"net/http"

	"github.com/metricstream/metricstream/tenant"
)

// answerStatus answers a request about the state of its tenant, as JSON in the envelope of the Prometheus API.
func answerStatus(w http.ResponseWriter, r *http.Request, dataOf func(id string) any) {
	answer := struct {
		Status    string `json:"status"`
		Data      any    `json:"data,omitempty"`
		ErrorType string `json:"errorType,omitempty"`
		Error     string `json:"error,omitempty"`
	}{Status: "success"}
	status := http.StatusOK
	if id, err := tenant.FromRequest(r); err != nil {
		status, answer.Status, answer.ErrorType, answer.Error = http.StatusBadRequest, "error", "bad_data", err.Error()
	} else {
		answer.Data = dataOf(id)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone hears nothing
}
