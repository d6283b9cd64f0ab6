package api

import "net/http"

func (a *API) serveFederate(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "not found", http.StatusNotFound)
}
