package remotewrite

import (
	"io"
	"net/http"
	"strconv"

	"github.com/metricstream/metricstream/remotewrite/codec"
)

// answer is what a sender is told.
type answer struct {
	version  codec.Version // 0 where the request did not get so far
	status   int
	text     string
	accepted codec.Counts
	produced string // the receipt of what was written; empty where there is none
}

// producedHeader says where in the log a request went. Beyond maxProducedBytes, some 300 partitions, it is left out:
// proxies refuse long headers.
const (
	producedHeader   = "X-Produced-Offsets"
	maxProducedBytes = 4096
)

// send writes the answer. Only senders of 2.0 are told how much was written: 1.0 senders that understand the
// headers take them for a report of partial failure.
func (a answer) send(w http.ResponseWriter, r *http.Request) {
	if a.version == codec.V2 {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(a.accepted.Samples))
		w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(a.accepted.Histograms))
		w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", strconv.Itoa(a.accepted.Exemplars))
	}
	if a.produced != "" && len(a.produced) <= maxProducedBytes {
		w.Header().Set(producedHeader, a.produced)
	}
	if a.status >= 500 || a.status == http.StatusTooManyRequests {
		setRetryAfter(w, r)
	}
	if a.text == "" {
		w.WriteHeader(a.status)
		return
	}
	http.Error(w, a.text, a.status)
}

// appendAll appends all of in to dst; size is how much is expected, or less than 0. What is expected is not
// believed beyond a megabyte.
func appendAll(dst []byte, in io.Reader, size int64) ([]byte, error) {
	if want := int(min(size, 1<<20)) + 1; size >= 0 && cap(dst)-len(dst) < want {
		dst = append(make([]byte, 0, len(dst)+want), dst...)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := in.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
