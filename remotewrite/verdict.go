package remotewrite

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/metricstream/metricstream/store"
)

// statusSiteOverloaded is not in net/http. Unlike 429, on which a Prometheus with default settings drops the
// data, it is a 5xx: every sender tries again.
const statusSiteOverloaded = 529

// statusOf is the one table from the verdict on a request to its status. Senders decide by the status alone
// whether data is lost: on 400 they drop the request, on 5xx they try again; vmagent tries again for ever on
// every other 4xx.
func statusOf(err error) int {
	switch store.KindOf(err) {
	case store.KindInvalid:
		return http.StatusBadRequest
	case store.KindLimit:
		return statusSiteOverloaded
	default:
		return http.StatusServiceUnavailable
	}
}

const (
	minRetryAfter = 6 * time.Second
	maxRetryAfter = 96 * time.Second
)

// retryAfter returns how many seconds a sender should wait: longer with each of its attempts, and not the same
// for all, so that senders do not come back at once after an outage. jitter is in [0, 1).
func retryAfter(attempt string, jitter float64) int {
	n, err := strconv.Atoi(attempt)
	if err != nil || n < 1 {
		n = 1
	}
	wait := minRetryAfter
	for ; n > 1 && wait < maxRetryAfter; n-- {
		wait *= 2
	}
	wait = min(wait, maxRetryAfter)
	return max(1, int(wait.Seconds()*(0.5+jitter)+0.5))
}

func setRetryAfter(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter(r.Header.Get("Retry-Attempt"), rand.Float64())))
}
