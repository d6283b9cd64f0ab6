package api

import (
	"errors"
	"net/http"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
)

// queryExemplars answers /query_exemplars: the exemplars of every series that a selector of the expression
// chooses. An expression without a selector has no content.
func (a *API) queryExemplars(r *http.Request) (result, error) {
	start, err := optionalTime(r, "start", minTime())
	if err != nil {
		return result{}, err
	}
	end, err := optionalTime(r, "end", maxTime())
	if err != nil {
		return result{}, err
	}
	if end.Before(start) {
		return result{}, badRequest(errors.New("end timestamp must not be before start timestamp"))
	}
	if err := a.checkExemplarRange(r, start, end); err != nil {
		return result{}, err
	}
	if err := a.checkQuery(r.FormValue("query")); err != nil {
		return result{}, err
	}
	expr, err := a.Parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return result{}, badRequest(err)
	}
	selectors := parser.ExtractSelectors(expr)
	if len(selectors) == 0 {
		return result{}, nil
	}
	if a.ExemplarReader == nil {
		return result{data: exemplarsData{}}, nil
	}
	var all []store.SeriesExemplars
	for _, ms := range selectors {
		found, err := a.ExemplarReader.Exemplars(r.Context(), store.Selection{
			Tenant:    tenant.FromContext(r.Context()),
			Matchers:  ms,
			MinMs:     timestamp.FromTime(start),
			MaxMs:     timestamp.FromTime(end),
			MaxSeries: int(a.reading(r.Context()).Series.Most),
		})
		if err != nil {
			return result{}, a.storeError(r.Context(), err)
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(x, y store.SeriesExemplars) int { return labels.Compare(x.Labels, y.Labels) })
	all = slices.CompactFunc(all, func(x, y store.SeriesExemplars) bool { return labels.Equal(x.Labels, y.Labels) })
	return result{data: exemplarsData(all)}, nil
}

type exemplarsData []store.SeriesExemplars

func (d exemplarsData) encode(e *encoder) error {
	e.raw(`[`)
	for i, s := range d {
		if i > 0 {
			e.raw(`,`)
		}
		e.raw(`{"seriesLabels":`)
		e.buf = appendLabels(e.buf, s.Labels)
		e.raw(`,"exemplars":[`)
		for j, x := range s.Exemplars {
			if j > 0 {
				e.raw(`,`)
			}
			e.raw(`{"labels":`)
			e.buf = appendLabels(e.buf, x.Labels)
			e.raw(`,"value":`)
			e.buf = appendFloat(e.buf, x.Value)
			e.raw(`,"timestamp":`)
			e.buf = append(appendTimestamp(e.buf, x.TimeMs), '}')
			e.flushIfLarge()
		}
		e.raw(`]}`)
	}
	e.raw(`]`)
	return nil
}
