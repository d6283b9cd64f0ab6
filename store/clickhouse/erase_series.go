package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Gone calls yield with the sorted keys of those series of the erasure of which no table has points.
func (e *Eraser) Gone(ctx context.Context, id string, yield func([]store.Key) error) error {
	tables, err := e.tables(ctx, true, true)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("SELECT DISTINCT metric, id FROM %s WHERE erasure = '%s' AND kind = %d", e.live("erased_keys"), id, erasedAll)
	for _, t := range tables {
		if t.live && t.base != "starts" {
			text += " AND (metric, id) NOT IN (SELECT metric, id FROM " + t.full + " WHERE " + e.keysOf(id, erasedAll) + ")"
		}
	}
	var k keyColumns
	q := ch.Query{Result: proto.Results{{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}}}
	return e.s.query(ctx, "erased series", sqlgen.Statement{Text: text + " ORDER BY metric, id"}, q, func(rows int) error { return yield(k.keys(rows)) })
}

// familySuffixes are what the series of a metric may have behind the name by which its metadata is known.
var familySuffixes = []string{"", "_bucket", "_count", "_sum", "_total", "_created", "_info"}

// Families returns the metrics of a tenant of which no series is left when those are gone of which nothing is left. It has to
// be asked before these are removed.
func (e *Eraser) Families(ctx context.Context, id, tenant string) ([]string, error) {
	gone, err := e.names(ctx, tenant, e.keysOf(id, erasedGone))
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	stay, err := e.names(ctx, tenant, "NOT "+e.keysOf(id, erasedGone))
	if err != nil {
		return nil, err
	}
	stays := make(map[string]bool, len(stay))
	for _, n := range stay {
		stays[n] = true
	}
	var out []string
	for _, n := range gone {
		for _, suffix := range familySuffixes {
			family, ok := strings.CutSuffix(n, suffix)
			if ok && family != "" && !slices.ContainsFunc(familySuffixes, func(s string) bool { return stays[family+s] }) {
				out = append(out, family)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// names returns the metric names of a tenant's series.
func (e *Eraser) names(ctx context.Context, tenant, condition string) ([]string, error) {
	var out []string
	params := clickhouse.Parameters{"tenant": sqlgen.Escape(tenant)}
	err := e.s.scan(long(ctx), "the names of erased series", "SELECT DISTINCT toString(name) FROM series WHERE tenant = {tenant:String} AND "+condition, params, func(r driver.Rows) error {
		var n string
		err := r.Scan(&n)
		out = append(out, n)
		return err
	})
	return out, err
}

// AddFamilies adds metrics whose metadata is to be removed.
func (e *Eraser) AddFamilies(ctx context.Context, id, tenant string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var erasures, tenants, all proto.ColStr
	for _, n := range names {
		erasures.Append(id)
		tenants.Append(tenant)
		all.Append(n)
	}
	return e.s.insert(ctx, "erased_families", proto.Input{{Name: "erasure", Data: &erasures}, {Name: "tenant", Data: &tenants}, {Name: "name", Data: &all}})
}

// AllFamilies returns the names of all metadata of a tenant.
func (e *Eraser) AllFamilies(ctx context.Context, tenant string) ([]string, error) {
	var out []string
	params := clickhouse.Parameters{"tenant": sqlgen.Escape(tenant)}
	err := e.s.scan(ctx, "the metadata of a tenant", "SELECT DISTINCT name FROM metric_metadata WHERE tenant = {tenant:String}", params, func(r driver.Rows) error {
		var n string
		err := r.Scan(&n)
		out = append(out, n)
		return err
	})
	return out, err
}

// familiesOf is the condition that metadata is of the erasure.
func (e *Eraser) familiesOf(id string) string {
	return fmt.Sprintf("(toString(tenant), name) IN (SELECT tenant, name FROM %s WHERE erasure = '%s')", e.live("erased_families"), id)
}

// DeleteSeries removes the series of which nothing is left, and the metadata of metrics that have no series.
func (e *Eraser) DeleteSeries(ctx context.Context, id string) error {
	if err := e.settle(ctx, id); err != nil {
		return err
	}
	statement := "SELECT database, name FROM system.tables WHERE database IN ({live:String}, {shadow:String}) AND name IN ('series', 'postings', 'starts', 'metric_metadata')"
	databases := clickhouse.Parameters{"live": sqlgen.Escape(e.s.options.Auth.Database), "shadow": sqlgen.Escape(e.s.shadowName())}
	type table struct{ database, name string }
	var tables []table
	err := e.s.scan(ctx, "the tables", statement, databases, func(r driver.Rows) error {
		var t table
		err := r.Scan(&t.database, &t.name)
		tables = append(tables, t)
		return err
	})
	if err != nil {
		return err
	}
	for _, t := range tables {
		condition := e.keysOf(id, erasedGone)
		if t.name == "metric_metadata" {
			condition = e.familiesOf(id)
		}
		full := sqlgen.Table(t.database, t.name)
		var n uint64
		if err := e.s.admin.QueryRow(long(ctx), "SELECT count() FROM "+full+" WHERE "+condition).Scan(&n); err != nil {
			return fmt.Errorf("cannot count the rows of an erasure in %s: %w", t.name, verdict(err))
		}
		if n == 0 {
			continue
		}
		if err := e.mutate(ctx, "erase from "+t.name, "ALTER TABLE "+full+" DELETE WHERE "+condition); err != nil {
			return err
		}
	}
	return nil
}
