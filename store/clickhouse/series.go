package clickhouse

import (
	"context"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// foundSeries is a series that a selection chose.
type foundSeries struct {
	key    store.Key
	labels labels.Labels
	has    store.Has
}

func keysOf(found []foundSeries) []store.Key {
	keys := make([]store.Key, len(found))
	for i := range found {
		keys[i] = found[i].key
	}
	return keys
}

// keysWith returns the keys of the series that have something beside float samples.
func keysWith(found []foundSeries, has store.Has) []store.Key {
	var keys []store.Key
	for i := range found {
		if found[i].has&has != 0 {
			keys = append(keys, found[i].key)
		}
	}
	return keys
}

// seriesOf translates a selection. A row of the series table is written when a series is announced, at least
// once an hour while it has samples; samples until the next row may lie in the next day.
func seriesOf(sel store.Selection) sqlgen.Series {
	return sqlgen.Series{
		Tenant: sel.Tenant, Matchers: sel.Matchers,
		FirstDay: clampDay(dayOf(sel.MinMs) - 1), LastDay: clampDay(dayOf(sel.MaxMs) + 1),
	}
}

// findSeries returns the series that the selection's matchers choose, sorted by key.
func (s *Store) findSeries(ctx context.Context, sel store.Selection) ([]foundSeries, error) {
	if sel.MinMs > sel.MaxMs {
		return nil, nil
	}
	var found []foundSeries
	var metrics proto.ColUInt32
	var ids proto.ColUInt64
	var has proto.ColUInt8
	lc := newLabelsColumn()
	q := ch.Query{Result: proto.Results{{Name: "metric", Data: &metrics}, {Name: "id", Data: &ids}, {Name: "labels", Data: lc}, {Name: "kinds", Data: &has}}}
	compactAt := sel.MaxSeries
	err := s.query(ctx, "series", seriesOf(sel).Select(), q, func(rows int) error {
		for i := range rows {
			found = append(found, foundSeries{store.Key{Metric: metrics[i], ID: ids[i]}, lc.row(i), store.Has(has[i])})
		}
		if sel.MaxSeries == 0 || len(found) <= compactAt {
			return nil
		}
		var err error
		if found, err = compactSeries(found); err != nil {
			return err
		}
		compactAt = 2 * sel.MaxSeries
		if len(found) > sel.MaxSeries {
			return s.seriesLimit(sel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found, err = compactSeries(found); err != nil {
		return nil, err
	}
	if sel.MaxSeries > 0 && len(found) > sel.MaxSeries {
		return nil, s.seriesLimit(sel)
	}
	return found, nil
}

func (s *Store) seriesLimit(sel store.Selection) error {
	s.metrics.limits.WithLabelValues("series").Inc()
	return store.TooMany(store.SeriesBound, sel.MaxSeries)
}

// compactSeries sorts by key and leaves each series once: until parts are merged the table has a row for each
// announcement. Two label sets of one key are an accident with odds of one to billions that would mix two
// series' samples, or a fault in this program; both must be known.
func compactSeries(found []foundSeries) ([]foundSeries, error) {
	slices.SortFunc(found, func(a, b foundSeries) int { return a.key.Compare(b.key) })
	n := 0
	for i := range found {
		if n > 0 && found[n-1].key == found[i].key {
			if !labels.Equal(found[n-1].labels, found[i].labels) {
				return nil, store.Invalidf("two series have the same key (%d, %d) in ClickHouse and cannot be told apart: %s and %s",
					found[i].key.Metric, found[i].key.ID, found[n-1].labels, found[i].labels)
			}
			found[n-1].has |= found[i].has
			continue
		}
		found[n] = found[i]
		n++
	}
	clear(found[n:])
	return found[:n], nil
}

// Series returns the label sets of the series that match; see [store.Reader].
func (s *Store) Series(ctx context.Context, sel store.Selection) ([]labels.Labels, error) {
	found, err := s.findSeries(ctx, sel)
	if err != nil {
		return nil, err
	}
	out := make([]labels.Labels, len(found))
	for i := range found {
		out[i] = found[i].labels
	}
	return out, nil
}

// LabelNames returns the label names of the series that match; see [store.Reader].
func (s *Store) LabelNames(ctx context.Context, sel store.Selection) ([]string, error) {
	return s.strings(ctx, "label names", seriesOf(sel).Names(), sel)
}

// LabelValues returns the values of a label of the series that match; see [store.Reader].
func (s *Store) LabelValues(ctx context.Context, name string, sel store.Selection) ([]string, error) {
	return s.strings(ctx, "label values", seriesOf(sel).Values(name), sel)
}

// plainStrings makes the server send columns of LowCardinality(String) as strings.
var plainStrings = []ch.Setting{{Key: "low_cardinality_allow_in_native_format", Value: "0"}}

// strings reads one column of strings.
func (s *Store) strings(ctx context.Context, what string, st sqlgen.Statement, sel store.Selection) ([]string, error) {
	out := []string{}
	if sel.MinMs > sel.MaxMs {
		return out, nil
	}
	var col proto.ColStr
	q := ch.Query{Result: proto.Results{{Data: &col}}, Settings: plainStrings}
	err := s.query(ctx, what, st, q, func(rows int) error {
		for i := range rows {
			out = append(out, col.Row(i))
		}
		if sel.MaxSeries > 0 && len(out) > sel.MaxSeries {
			return s.seriesLimit(sel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
