package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
)

// metadata answers /metadata: what senders said of their metrics, by metric name.
func (a *API) metadata(r *http.Request) (result, error) {
	limit, err := countParam(r, "limit")
	if err != nil {
		return result{}, err
	}
	perMetric, err := countParam(r, "limit_per_metric")
	if err != nil {
		return result{}, err
	}
	if a.MetadataReader == nil {
		return result{data: metadataData{}}, nil
	}
	all, err := a.MetadataReader.Metadata(r.Context(), tenant.FromContext(r.Context()), r.FormValue("metric"))
	if err != nil {
		return result{}, a.storeError(r.Context(), err)
	}
	return result{data: cutMetadata(all, limit, perMetric)}, nil
}

// countParam reads a limit as Prometheus' metadata endpoint does: absent or negative is none, but 0 is 0.
func countParam(r *http.Request, name string) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badRequest(errors.New(name + " must be a number"))
	}
	return n, nil
}

// cutMetadata keeps limit names and perMetric entries of each; the entries of a name stand together.
func cutMetadata(all []store.Metadata, limit, perMetric int) metadataData {
	kept := metadataData{}
	names, entries, name := 0, 0, ""
	for i, m := range all {
		if i == 0 || m.Name != name {
			if limit >= 0 && names >= limit {
				break
			}
			names, entries, name = names+1, 0, m.Name
		}
		if perMetric > 0 && entries >= perMetric {
			continue
		}
		entries++
		kept = append(kept, m)
	}
	return kept
}

// metadataData is an object of lists; entries of one name stand together.
type metadataData []store.Metadata

func (d metadataData) encode(e *encoder) error {
	e.raw(`{`)
	for i, m := range d {
		switch {
		case i == 0:
			e.buf = append(appendString(e.buf, m.Name), `:[`...)
		case d[i-1].Name == m.Name:
			e.raw(`,`)
		default:
			e.raw(`],`)
			e.buf = append(appendString(e.buf, m.Name), `:[`...)
		}
		e.raw(`{"type":`)
		e.buf = appendString(e.buf, m.Type)
		e.raw(`,"unit":`)
		e.buf = appendString(e.buf, m.Unit)
		e.raw(`,"help":`)
		e.buf = append(appendString(e.buf, m.Help), '}')
		e.flushIfLarge()
	}
	if len(d) > 0 {
		e.raw(`]`)
	}
	e.raw(`}`)
	return nil
}
