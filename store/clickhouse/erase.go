package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Eraser removes the points of series, and series of which nothing is left, from all tables, a shadow's among them. What it
// is to remove stands in tables of its own, by the name of the erasure: there it stays, so that anybody can count what is left.
// Each of its steps may be done again, after a crash or by several at once.
type Eraser struct{ s *Store }

// Eraser returns the store's eraser.
func (s *Store) Eraser() *Eraser { return &Eraser{s} }

// eraserTables are made when the first erasure needs them. kind is 0 for all series of an erasure and 1 for those of which
// nothing is left. erasures_applied has those whose points are removed: of tables that were restored from a backup it
// tells which are to be removed again.
var eraserTables = []string{
	`CREATE TABLE IF NOT EXISTS erased_keys (erasure String, kind UInt8, metric UInt32, id UInt64)
ENGINE = ReplacingMergeTree ORDER BY (erasure, kind, metric, id) SETTINGS non_replicated_deduplication_window = 0`,
	`CREATE TABLE IF NOT EXISTS erased_families (erasure String, tenant String, name String)
ENGINE = ReplacingMergeTree ORDER BY (erasure, tenant, name) SETTINGS non_replicated_deduplication_window = 0`,
	`CREATE TABLE IF NOT EXISTS erasures_applied (erasure String, at DateTime64(3) DEFAULT now64(3))
ENGINE = ReplacingMergeTree ORDER BY erasure SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1`,
}

// The kinds of series of an erasure.
const (
	erasedAll  = 0
	erasedGone = 1
)

// erasureName is what the names of erasures are like: they stand in statements.
var erasureName = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// Prepare makes room for what the eraser has to know of an erasure.
func (e *Eraser) Prepare(ctx context.Context, id string) error {
	if !erasureName.MatchString(id) {
		return store.Invalidf("an erasure cannot have the name %q", id)
	}
	for _, statement := range eraserTables {
		if err := retryRace(ctx, func() error { return e.s.admin.Exec(ctx, statement) }); err != nil {
			return fmt.Errorf("cannot create the tables of erasures: %w", verdict(err))
		}
	}
	return nil
}

// Find calls yield with the sorted keys of the tenant's series that may have points in the range and that one of the lists of
// matchers chooses; without any list, all of them. No key comes twice.
func (e *Eraser) Find(ctx context.Context, tenant string, lists [][]*labels.Matcher, r list.Range, yield func([]store.Key) error) error {
	if len(lists) == 0 {
		lists = [][]*labels.Matcher{nil}
	}
	var parts []string
	var params []sqlgen.Param
	for i, ms := range lists {
		sel := seriesOf(store.Selection{Tenant: tenant, Matchers: ms, MinMs: max(r.MinMs, minFindMs), MaxMs: min(r.MaxMs, maxFindMs)})
		st := sel.Select()
		text := st.Text
		for j := len(st.Params) - 1; j >= 0; j-- { // p1 is a part of p10
			p := st.Params[j]
			text = strings.ReplaceAll(text, "{"+p.Name+":", fmt.Sprintf("{l%d_%s:", i, p.Name))
			params = append(params, sqlgen.Param{Name: fmt.Sprintf("l%d_%s", i, p.Name), Value: p.Value})
		}
		parts = append(parts, "SELECT metric, id FROM ("+text+")")
	}
	var k keyColumns
	q := ch.Query{Result: proto.Results{{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}}}
	st := sqlgen.Statement{Text: "SELECT DISTINCT metric, id FROM (" + strings.Join(parts, " UNION ALL ") + ") ORDER BY metric, id", Params: params}
	return e.s.query(ctx, "erased series", st, q, func(rows int) error { return yield(k.keys(rows)) })
}

// minFindMs and maxFindMs are beyond every day that the tables can have.
const (
	minFindMs = -1 << 60
	maxFindMs = 1 << 60
)

// keys returns the first rows of the columns.
func (c *keyColumns) keys(rows int) []store.Key {
	keys := make([]store.Key, rows)
	for i := range keys {
		keys[i] = store.Key{Metric: c.metrics[i], ID: c.ids[i]}
	}
	return keys
}

// AddKeys adds series to those of an erasure.
func (e *Eraser) AddKeys(ctx context.Context, id string, keys []store.Key) error {
	return e.addKeys(ctx, id, erasedAll, keys)
}

// ClearGone forgets which series have nothing left.
func (e *Eraser) ClearGone(ctx context.Context, id string) error {
	c, err := e.count(ctx, "erased_keys", fmt.Sprintf("SELECT count() FROM erased_keys WHERE erasure = '%s' AND kind = %d", id, erasedGone))
	if err != nil || c.Rows == 0 {
		return err
	}
	return e.mutate(ctx, "forget which series are gone", fmt.Sprintf("ALTER TABLE %s DELETE WHERE erasure = '%s' AND kind = %d", e.live("erased_keys"), id, erasedGone))
}

// Changed makes everybody forget what was computed of the tenant's series.
func (e *Eraser) Changed(ctx context.Context, tenant string) error {
	return e.s.ForgetAnswers(ctx, tenant)
}

// AddGone adds series of which nothing is left.
func (e *Eraser) AddGone(ctx context.Context, id string, keys []store.Key) error {
	return e.addKeys(ctx, id, erasedGone, keys)
}

func (e *Eraser) addKeys(ctx context.Context, id string, kind uint8, keys []store.Key) error {
	var k keyColumns
	var erasures proto.ColStr
	var kinds proto.ColUInt8
	for _, key := range keys {
		erasures.Append(id)
		kinds.Append(kind)
		k.append(key)
	}
	return e.s.insert(ctx, "erased_keys", proto.Input{
		{Name: "erasure", Data: &erasures}, {Name: "kind", Data: &kinds}, {Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids},
	})
}

// keysOf is the condition that a row is of a series of the erasure.
func (e *Eraser) keysOf(id string, kind int) string {
	return fmt.Sprintf("(metric, id) IN (SELECT metric, id FROM %s WHERE erasure = '%s' AND kind = %d)", e.live("erased_keys"), id, kind)
}

func (e *Eraser) live(table string) string {
	return sqlgen.Table(e.s.options.Auth.Database, table)
}

// Applied returns the erasures whose points are removed from these tables.
func (e *Eraser) Applied(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	var there uint64
	if err := e.s.admin.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'erasures_applied'").Scan(&there); err != nil {
		return nil, fmt.Errorf("cannot look for the erasures of the tables: %w", verdict(err))
	}
	if there == 0 {
		return out, nil
	}
	err := e.s.scan(ctx, "the erasures of the tables", "SELECT DISTINCT erasure FROM erasures_applied", nil, func(r driver.Rows) error {
		var id string
		err := r.Scan(&id)
		out[id] = true
		return err
	})
	return out, err
}

// SetApplied records that the points of an erasure are removed.
func (e *Eraser) SetApplied(ctx context.Context, id string) error {
	var erasures proto.ColStr
	erasures.Append(id)
	return e.s.insert(ctx, "erasures_applied", proto.Input{{Name: "erasure", Data: &erasures}})
}

// Forget removes what the eraser knows of an erasure.
func (e *Eraser) Forget(ctx context.Context, id string) error {
	if err := e.Prepare(ctx, id); err != nil {
		return err
	}
	for _, table := range []string{"erased_keys", "erased_families", "erasures_applied"} {
		if err := e.mutate(ctx, "forget the erasure", fmt.Sprintf("ALTER TABLE %s DELETE WHERE erasure = '%s'", e.live(table), id)); err != nil {
			return err
		}
	}
	return nil
}

// mutate runs a statement that rewrites parts, and waits until every replica has done so.
func (e *Eraser) mutate(ctx context.Context, what, statement string) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"mutations_sync": 2, "alter_sync": 2, "allow_nondeterministic_mutations": 1, "log_comment": comment(ctx, "erase"),
	}))
	if err := e.s.admin.Exec(ctx, statement); err != nil {
		return fmt.Errorf("cannot %s: %w", what, verdict(err))
	}
	return nil
}

// settle waits until no statement of the erasure is still at work, of a process that is gone perhaps.
func (e *Eraser) settle(ctx context.Context, id string) error {
	return poll(ctx, func() (bool, error) {
		var n uint64
		var reason string
		err := e.s.admin.QueryRow(ctx, "SELECT count(), max(latest_fail_reason) FROM system.mutations WHERE NOT is_done AND command LIKE '%"+id+"%'").Scan(&n, &reason)
		if err == nil && n > 0 && reason != "" {
			err = fmt.Errorf("ClickHouse could not rewrite a part: %s", reason)
		}
		if err != nil {
			return false, fmt.Errorf("cannot wait for the statements of an erasure: %w", verdict(err))
		}
		return n == 0, nil
	})
}
