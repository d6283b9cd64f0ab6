package remotewrite

import (
	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/prometheus/client_golang/prometheus"
)

// ownDetector stands in a metric for the detectors that tenants make: their names are not bounded.
const ownDetector = "pattern"

func newPersonal() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metricstream_remote_write_personal_data_total",
		Help: "Label sets, exemplars and texts of metadata in which a detector found personal data when they were first seen, by what was done; patterns of one's own are counted together as pattern.",
	}, []string{"detector", "action"})
}

// tellFound counts what personal data was found in a request, and passes it on.
func (h *Handler) tellFound(id string, found map[codec.Found]int) {
	if len(found) == 0 {
		return
	}
	for f, n := range found {
		detector := f.Detector
		if f.Own {
			detector = ownDetector
		}
		h.metrics.personal.WithLabelValues(detector, string(f.Action)).Add(float64(n))
	}
	if h.found != nil {
		h.found(id, found)
	}
}
