package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// federateLookback is how old the newest sample of a federated series may be: the engine's usual lookback.
const federateLookback = 5 * time.Minute

// federated is the newest sample of a series; h is set for a native histogram.
type federated struct {
	labels labels.Labels
	timeMs int64
	value  float64
	h      *histogram.FloatHistogram
}

// federate answers /federate, by which a Prometheus scrapes the newest samples of chosen series.
func (a *API) federate(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "error parsing form values: "+err.Error(), http.StatusBadRequest)
		return
	}
	sets, err := a.Parser.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := a.withTimeout(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	release, err := a.turn(ctx)
	if err != nil {
		a.readError(w, r, err)
		return
	}
	defer release()
	samples, err := a.newest(ctx, sets)
	if err != nil {
		a.readError(w, r, err)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeProtoText),
		expfmt.NewFormat(expfmt.TypeProtoCompact), expfmt.NewFormat(expfmt.TypeTextPlain))
	w.Header().Set("Content-Type", string(format))
	if err := writeFamilies(expfmt.NewEncoder(w, format), format, samples); err != nil {
		a.Logger.DebugContext(r.Context(), "cannot write a response", "path", r.URL.Path, "err", err)
	}
}

// newest reads the newest sample of every series that any of the selectors chooses, sorted by labels, so that
// the series of a metric stand together.
func (a *API) newest(ctx context.Context, sets [][]*labels.Matcher) ([]federated, error) {
	maxMs := a.Now().UnixMilli()
	minMs := maxMs - federateLookback.Milliseconds()
	querier, err := a.Queryable.Querier(minMs, maxMs)
	if err != nil {
		return nil, err
	}
	defer querier.Close()
	var all []federated
	for _, ms := range sets {
		set := querier.Select(ctx, true, &storage.SelectHints{Start: minMs, End: maxMs}, ms...)
		for set.Next() {
			s, ok, err := newestOf(set.At(), minMs, maxMs)
			if err != nil {
				return nil, err
			}
			if ok && s.labels.Get(labels.MetricName) != "" {
				all = append(all, s)
			}
		}
		if err := set.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(x, y federated) int {
		if c := strings.Compare(x.labels.Get(labels.MetricName), y.labels.Get(labels.MetricName)); c != 0 {
			return c
		}
		return labels.Compare(x.labels, y.labels)
	})
	return slices.CompactFunc(all, func(x, y federated) bool { return labels.Equal(x.labels, y.labels) }), nil
}

// newestOf is not ok for a series that has ended with a stale marker, which no exposition format can hold.
func newestOf(s storage.Series, minMs, maxMs int64) (federated, bool, error) {
	f := federated{labels: s.Labels()}
	ok := false
	it := s.Iterator(nil)
	for t := it.Next(); t != chunkenc.ValNone && it.AtT() <= maxMs; t = it.Next() {
		if it.AtT() < minMs {
			continue
		}
		ok = true
		if t == chunkenc.ValFloat {
			f.h = nil
			f.timeMs, f.value = it.At()
		} else {
			f.timeMs, f.h = it.AtFloatHistogram(nil)
			f.value = f.h.Sum
		}
	}
	return f, ok && !value.IsStaleNaN(f.value), it.Err()
}
