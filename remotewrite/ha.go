package remotewrite

import (
	"context"
	"net/http"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/remotewrite/ha"
)

// judge returns who decides whether a replica's series of this request are duplicates; nil where nobody does.
func (h *Handler) judge(ctx context.Context, id string) func(codec.Pair) (bool, error) {
	if h.ha == nil {
		return nil
	}
	return func(p codec.Pair) (bool, error) {
		ok, err := h.ha.Accept(ctx, id, p.Cluster, p.Replica)
		return !ok, err
	}
}

// countDuplicates counts what was dropped because another replica sends it. The sender is told that it was written:
// the cluster's data is, and a sender that reads of less reports a failure.
func (h *Handler) countDuplicates(a *answer, id string, n codec.Counts) {
	if n.Total() == 0 {
		return
	}
	a.accepted = a.accepted.Plus(n)
	h.metrics.deduplicated(id, n)
}

// HA answers GET requests with the clusters of replicas of the request's tenant, as JSON in the envelope of the
// Prometheus API. It shows those that this receiver knows: who writes to it, and did within the last hour.
func (h *Handler) HA(w http.ResponseWriter, r *http.Request) {
	type data struct {
		Enabled  bool       `json:"enabled"`
		Clusters []ha.State `json:"clusters"`
	}
	answerStatus(w, r, func(id string) any {
		if h.ha == nil {
			return data{Clusters: []ha.State{}}
		}
		return data{true, h.ha.States(id)}
	})
}
