package clickhouse

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Difference is how a day of a table differs between live and shadow. Rows that are equal in series, time and value
// count as one, whatever encoding the value has.
type Difference struct {
	Day   Day
	Table string

	OnlyLive, OnlyShadow, Both uint64

	// Series counts the series that differ; Examples are some of them.
	Series   uint64
	Examples []SeriesDifference
}

// SeriesDifference is a series of which rows differ.
type SeriesDifference struct {
	Key    store.Key
	Tenant string

	// Labels are empty where neither side has the label set.
	Labels labels.Labels

	OnlyLive, OnlyShadow uint64

	// Rows are some of the rows that only one side has, in the order of time.
	Rows []RowDifference
}

// RowDifference is a row that only one side has. Text says what it holds.
type RowDifference struct {
	TimeMs int64
	Live   bool
	Text   string
}

// exampleRows is how many rows of an example are shown.
const exampleRows = 3

// Diff compares one day of every table that is keyed by series and time, and returns the tables that have rows of it.
// Each names at most examples series.
func (h *Shadow) Diff(ctx context.Context, day Day, examples int) ([]Difference, error) {
	var out []Difference
	for _, t := range pointTables {
		d, err := h.diffTable(ctx, t, day, examples)
		if err != nil {
			return nil, fmt.Errorf("cannot compare %s of table %s: %w", day, t.name, err)
		}
		if d.OnlyLive+d.OnlyShadow+d.Both > 0 {
			out = append(out, d)
		}
	}
	return out, nil
}

func (h *Shadow) diffTable(ctx context.Context, t pointTable, day Day, examples int) (Difference, error) {
	d := Difference{Day: day, Table: t.name}
	c := h.compared(t)
	parts, err := h.slices(ctx, c, day)
	if err != nil {
		return d, err
	}
	for _, s := range parts {
		if err := h.diffSlice(ctx, c, s, &d, examples); err != nil {
			return d, err
		}
	}
	for i := range d.Examples {
		if err := h.explain(ctx, c, day, &d.Examples[i]); err != nil {
			return d, err
		}
	}
	return d, nil
}

// diffSlice adds what a slice differs in.
func (h *Shadow) diffSlice(ctx context.Context, c sqlgen.Compared, s sqlgen.Slice, d *Difference, examples int) error {
	var series, live, shadow, both uint64
	var metrics []uint32
	var ids, lives, shadows []uint64
	err := h.live.admin.QueryRow(large(ctx), c.Difference(s, max(1, examples))).Scan(&series, &live, &shadow, &both, &metrics, &ids, &lives, &shadows)
	if err != nil {
		return verdict(err)
	}
	d.Series += series
	d.OnlyLive += live
	d.OnlyShadow += shadow
	d.Both += both
	for i := range metrics {
		if len(d.Examples) < examples {
			d.Examples = append(d.Examples, SeriesDifference{
				Key: store.Key{Metric: metrics[i], ID: ids[i]}, OnlyLive: lives[i], OnlyShadow: shadows[i],
			})
		}
	}
	return nil
}

// explain finds an example's labels and some of its rows.
func (h *Shadow) explain(ctx context.Context, c sqlgen.Compared, day Day, e *SeriesDifference) error {
	found := ""
	for _, database := range []string{h.liveDB, h.name} {
		found += fmt.Sprintf(" UNION ALL SELECT tenant, labels FROM %s WHERE metric = %d AND id = %d", sqlgen.Table(database, "series"), e.Key.Metric, e.Key.ID)
	}
	var set map[string]string
	var n uint64
	err := h.live.admin.QueryRow(large(ctx), "SELECT toString(any(tenant)), any(labels), count() FROM ("+found[len(" UNION ALL "):]+")").Scan(&e.Tenant, &set, &n)
	if err != nil {
		return verdict(err)
	}
	e.Labels = labels.FromMap(set)
	rows, err := h.live.admin.Query(large(ctx), c.Examples(sqlgen.Day(day.MinMs(), day.MaxMs()), e.Key.Metric, e.Key.ID, exampleRows))
	if err != nil {
		return verdict(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r RowDifference
		var side uint8
		if err := rows.Scan(&r.TimeMs, &side, &r.Text); err != nil {
			return err
		}
		r.Live = side == 1
		e.Rows = append(e.Rows, r)
	}
	return rows.Err()
}

// LabelSets says how the label sets differ.
type LabelSets struct {
	// OnlyShadow are the series that a swap makes known to the live tables.
	OnlyShadow uint64

	// Missing are the series with samples in the shadow whose label sets neither side has: a replay that begins
	// earlier finds them.
	Missing uint64
}

// DiffLabelSets compares the series of both sides. That the live tables know more is no difference.
func (h *Shadow) DiffLabelSets(ctx context.Context) (LabelSets, error) {
	var out LabelSets
	live, shadow := sqlgen.Table(h.liveDB, "series"), sqlgen.Table(h.name, "series")
	for _, q := range []struct {
		text string
		n    *uint64
	}{
		{"SELECT uniqExact(metric, id) FROM " + shadow + " WHERE (tenant, metric, id) NOT IN (SELECT tenant, metric, id FROM " + live + ")", &out.OnlyShadow},
		{"SELECT uniqExact(metric, id) FROM " + sqlgen.Table(h.name, "samples") + " WHERE (metric, id) NOT IN (SELECT metric, id FROM " + live + " UNION ALL SELECT metric, id FROM " + shadow + ")", &out.Missing},
	} {
		if err := h.live.admin.QueryRow(large(ctx), q.text).Scan(q.n); err != nil {
			return out, fmt.Errorf("cannot compare the series: %w", verdict(err))
		}
	}
	return out, nil
}
