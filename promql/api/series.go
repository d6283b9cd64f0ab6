package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
)

// lookup is what series, labels and label values have in common.
type lookup struct {
	limit        int
	minMs, maxMs int64
	sets         [][]*labels.Matcher
}

func (a *API) lookupParams(r *http.Request) (lookup, error) {
	limit, err := limitParam(r)
	if err != nil {
		return lookup{}, err
	}
	start, err := optionalTime(r, "start", minTime())
	if err != nil {
		return lookup{}, err
	}
	end, err := optionalTime(r, "end", maxTime())
	if err != nil {
		return lookup{}, err
	}
	return lookup{limit: limit, minMs: timestamp.FromTime(start), maxMs: timestamp.FromTime(end)}, nil
}

func (l lookup) selection(a *API, ctx context.Context, ms []*labels.Matcher) store.Selection {
	return store.Selection{
		Tenant:    tenant.FromContext(ctx),
		Matchers:  ms,
		MinMs:     l.minMs,
		MaxMs:     l.maxMs,
		MaxSeries: int(a.reading(ctx).Series.Most),
	}
}

// series answers /series: the label sets of the series that match any of the selectors, each once, sorted.
func (a *API) series(r *http.Request) (result, error) {
	if len(r.Form["match[]"]) == 0 {
		return result{}, badRequest(errors.New("no match[] parameter provided"))
	}
	l, err := a.lookupParams(r)
	if err != nil {
		return result{}, err
	}
	if l.sets, err = a.matcherSets(r); err != nil {
		return result{}, invalidParam("match[]", err)
	}
	all := []labels.Labels{}
	for _, ms := range l.sets {
		found, err := a.Reader.Series(r.Context(), l.selection(a, r.Context(), ms))
		if err != nil {
			return result{}, a.storeError(r.Context(), err)
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, labels.Compare)
	all = slices.CompactFunc(all, labels.Equal)
	return truncated(all, l.limit, func(all []labels.Labels) payload { return seriesData(all) }), nil
}

// labelNames answers /labels.
func (a *API) labelNames(r *http.Request) (result, error) {
	return a.lookupStrings(r, a.Reader.LabelNames)
}

// labelValues answers /label/<name>/values. A name that is not plain ASCII can be sent escaped, as
// U__http_2e_status.
func (a *API) labelValues(name string) handler {
	return func(r *http.Request) (result, error) {
		if strings.HasPrefix(name, "U__") {
			name = model.UnescapeName(name, model.ValueEncodingEscaping)
		}
		if !model.UTF8Validation.IsValidLabelName(name) {
			return result{}, badRequest(fmt.Errorf("invalid label name: %q", name))
		}
		return a.lookupStrings(r, func(ctx context.Context, s store.Selection) ([]string, error) {
			return a.Reader.LabelValues(ctx, name, s)
		})
	}
}

// lookupStrings reads a sorted list of strings for each selector and merges them.
func (a *API) lookupStrings(r *http.Request, read func(context.Context, store.Selection) ([]string, error)) (result, error) {
	l, err := a.lookupParams(r)
	if err != nil {
		return result{}, err
	}
	if l.sets, err = a.matcherSets(r); err != nil {
		return result{}, badRequest(err)
	}
	if len(l.sets) == 0 {
		l.sets = [][]*labels.Matcher{nil}
	}
	all := []string{}
	for _, ms := range l.sets {
		found, err := read(r.Context(), l.selection(a, r.Context(), ms))
		if err != nil {
			return result{}, a.storeError(r.Context(), err)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return truncated(all, l.limit, func(all []string) payload { return stringsData(all) }), nil
}

// truncated applies limit, where it is not 0, with a warning.
func truncated[T any](all []T, limit int, data func([]T) payload) result {
	var res result
	if limit > 0 && len(all) > limit {
		all = all[:limit]
		res.warnings.Add(errTruncated)
	}
	res.data = data(all)
	return res
}
