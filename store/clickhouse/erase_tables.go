package clickhouse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
	"github.com/metricstream/metricstream/store/rollup"
)

// erasedTables are the tables that have points of series, in the order in which they are erased: raw first, so that no fold
// that begins later can see what is erased. stepMs is the width of the buckets of a tier.
var erasedTables = []struct {
	name   string
	stepMs int64
}{
	{"samples", 0}, {"histograms", 0}, {"exemplars", 0}, {"starts", 0},
	{"rollup_1m", minuteMs}, {"rollup_histograms_1m", minuteMs}, {"rollup_1h", 60 * minuteMs}, {"rollup_histograms_1h", 60 * minuteMs},
}

// erasedTable is one of them, in the live database or in a shadow.
type erasedTable struct {
	// name is how people know it, full how statements do.
	name, full string
	base       string // the table whose copy it is
	stepMs     int64
	live       bool
}

// touches is the condition that a row is of a time, a bucket in part: such buckets are erased.
func (t erasedTable) touches(r list.Range) string {
	if t.stepMs == 0 {
		return between("ts", r)
	}
	return between("bucket", list.Range{MinMs: t.bucket(r.MinMs), MaxMs: t.bucket(r.MaxMs)})
}

// within is the condition that a row is of a time, a bucket as a whole: of such buckets none comes back.
func (t erasedTable) within(r list.Range) string {
	if t.stepMs == 0 {
		return between("ts", r)
	}
	inside := list.Range{MinMs: t.bucket(r.MinMs), MaxMs: t.bucket(r.MaxMs)}
	if known(r.MinMs) && inside.MinMs*minuteMs-t.stepMs+1 < r.MinMs {
		inside.MinMs += t.stepMs / minuteMs
	}
	if known(r.MaxMs) && inside.MaxMs*minuteMs > r.MaxMs {
		inside.MaxMs -= t.stepMs / minuteMs
	}
	return between("bucket", inside)
}

// bucket is the bucket that a time lies in.
func (t erasedTable) bucket(ms int64) int64 {
	if !known(ms) {
		return ms
	}
	return rollup.EndMs(min(max(ms, minFindMs), maxFindMs), t.stepMs) / minuteMs
}

// known tells whether a bound of a range is one.
func known(ms int64) bool { return ms != math.MinInt64 && ms != math.MaxInt64 }

func between(column string, r list.Range) string {
	condition := ""
	if known(r.MinMs) {
		condition += fmt.Sprintf(" AND %s >= %d", column, r.MinMs)
	}
	if known(r.MaxMs) {
		condition += fmt.Sprintf(" AND %s <= %d", column, r.MaxMs)
	}
	return condition
}

// tables returns the tables that there are.
func (e *Eraser) tables(ctx context.Context, raw, tiers bool) ([]erasedTable, error) {
	var out []erasedTable
	databases := clickhouse.Parameters{"live": sqlgen.Escape(e.s.options.Auth.Database), "shadow": sqlgen.Escape(e.s.shadowName())}
	err := e.s.scan(ctx, "the tables", "SELECT database, name FROM system.tables WHERE database IN ({live:String}, {shadow:String}) AND engine LIKE '%MergeTree' ORDER BY database, name", databases, func(r driver.Rows) error {
		var database, name string
		if err := r.Scan(&database, &name); err != nil {
			return err
		}
		for _, t := range erasedTables {
			if t.name != name && "replaced_"+t.name != name || t.stepMs == 0 && !raw || t.stepMs > 0 && !tiers {
				continue
			}
			one := erasedTable{name: name, full: sqlgen.Table(database, name), base: t.name, stepMs: t.stepMs, live: database == e.s.options.Auth.Database}
			if !one.live {
				one.name = database + "." + name
			}
			out = append(out, one)
		}
		return nil
	})
	order := func(t erasedTable) int {
		for i, one := range erasedTables {
			if one.name == t.base {
				return i
			}
		}
		return len(erasedTables)
	}
	slices.SortStableFunc(out, func(a, b erasedTable) int { return order(a) - order(b) })
	return out, err
}

// Count counts the rows of the erasure's series in a range, and of the series of which nothing is left in the tables of
// series. Rows that wait to be merged into one are counted each; of tiers, the buckets that lie in the range as a whole.
func (e *Eraser) Count(ctx context.Context, id string, r list.Range) ([]list.TableCount, error) {
	tables, err := e.tables(ctx, true, true)
	if err != nil {
		return nil, err
	}
	var out []list.TableCount
	count := func(name, query string) error {
		c, err := e.count(ctx, name, query)
		out = append(out, c)
		return err
	}
	for _, t := range tables {
		if err := count(t.name, "SELECT count() FROM "+t.full+" WHERE "+e.keysOf(id, erasedAll)+t.within(r)); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"series", "postings"} {
		if err := count(name, "SELECT count() FROM "+e.live(name)+" WHERE "+e.keysOf(id, erasedAll)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CountFamilies counts the metadata of the erasure.
func (e *Eraser) CountFamilies(ctx context.Context, id string) (list.TableCount, error) {
	return e.count(ctx, "metric_metadata", "SELECT count() FROM "+e.live("metric_metadata")+" WHERE "+e.familiesOf(id))
}

func (e *Eraser) count(ctx context.Context, name, query string) (list.TableCount, error) {
	c := list.TableCount{Table: name, Query: query}
	if err := e.s.admin.QueryRow(long(ctx), query).Scan(&c.Rows); err != nil {
		return c, fmt.Errorf("cannot count the rows of an erasure in %s: %w", name, verdict(err))
	}
	return c, nil
}

// longKey is of contexts with settings of their own.
type longKey struct{}

// long lifts the limit of time of statements that read much.
func long(ctx context.Context) context.Context {
	return clickhouse.Context(context.WithValue(ctx, longKey{}, true), clickhouse.WithSettings(clickhouse.Settings{"max_execution_time": 0, "log_comment": comment(ctx, "erase")}))
}

// DeletePoints removes the points of the erasure's series in a range, and the buckets of tiers that lie in it, also in part.
// The hours at its ends are marked, so that their buckets are made again of the samples that stay. report is called before
// each partition.
func (e *Eraser) DeletePoints(ctx context.Context, id string, r list.Range, report func(table string, done, all int) error) error {
	if err := e.settle(ctx, id); err != nil {
		return err
	}
	if err := e.mark(ctx, r); err != nil {
		return err
	}
	raw, err := e.tables(ctx, true, false)
	if err != nil {
		return err
	}
	for _, t := range raw {
		if err := e.deleteFrom(ctx, t, id, r, report); err != nil {
			return err
		}
	}
	if err := e.awaitFolds(ctx, r); err != nil {
		return err
	}
	tiers, err := e.tables(ctx, false, true)
	if err != nil {
		return err
	}
	for _, t := range tiers {
		if err := e.deleteFrom(ctx, t, id, r, report); err != nil {
			return err
		}
	}
	return e.mark(ctx, r)
}

// deleteFrom removes rows from the partitions of a table that have any.
func (e *Eraser) deleteFrom(ctx context.Context, t erasedTable, id string, r list.Range, report func(string, int, int) error) error {
	condition := e.keysOf(id, erasedAll) + t.touches(r)
	if t.base == "starts" && r.MaxMs != math.MaxInt64 {
		// The start that holds at the end of the range holds for the samples behind it.
		move := fmt.Sprintf("INSERT INTO %[1]s (metric, id, ts, start) SELECT metric, id, %[2]d, max(start) FROM %[1]s WHERE %[3]s GROUP BY metric, id", t.full, r.MaxMs+1, condition)
		if err := e.s.admin.Exec(long(ctx), move); err != nil {
			return fmt.Errorf("cannot move start timestamps behind what is erased: %w", verdict(err))
		}
	}
	var partitions []string
	err := e.s.scan(long(ctx), "the partitions of "+t.name, "SELECT _partition_id FROM "+t.full+" WHERE "+condition+" GROUP BY _partition_id ORDER BY _partition_id", nil, func(r driver.Rows) error {
		var p string
		err := r.Scan(&p)
		partitions = append(partitions, p)
		return err
	})
	if err != nil {
		return err
	}
	for i, p := range partitions {
		if err := report(t.name, i, len(partitions)); err != nil {
			return err
		}
		if err := e.mutate(ctx, "erase from "+t.name, fmt.Sprintf("ALTER TABLE %s DELETE IN PARTITION ID '%s' WHERE %s", t.full, p, condition)); err != nil {
			return err
		}
	}
	return nil
}

// mark marks the hours at the ends of a range that have rows of tiers.
func (e *Eraser) mark(ctx context.Context, r list.Range) error {
	var marks []rollup.Mark
	now := time.Now().UnixMilli()
	for _, ms := range []int64{r.MinMs, r.MaxMs} {
		if !known(ms) {
			continue
		}
		end := rollup.EndMs(min(max(ms, minFindMs), maxFindMs), rollup.Hour.StepMs())
		states, err := e.s.Hours(ctx, rollup.Span{FromMs: end - 1, ToMs: end})
		if err != nil {
			return err
		}
		if len(states) > 0 {
			marks = append(marks, rollup.Mark{EndMs: end, Key: rollup.RemovedKey, Token: uint64(time.Now().UnixNano()), WrittenMs: now})
		}
	}
	if len(marks) == 0 {
		return nil
	}
	if err := e.s.WriteMarks(ctx, marks); err != nil {
		return fmt.Errorf("cannot mark the hours at the ends of what is erased: %w", err)
	}
	return nil
}

// foldTimeout is how long a fold is waited for. One that takes longer belongs to a process that is gone, and was not begun
// again because nobody makes tiers any more.
const foldTimeout = 5 * time.Minute

// awaitFolds waits for the folds that began before the samples were erased: they would write buckets of what they have
// read.
func (e *Eraser) awaitFolds(ctx context.Context, r list.Range) error {
	span := rollup.Span{FromMs: max(r.MinMs, minFindMs), ToMs: min(r.MaxMs, maxFindMs) + rollup.Hour.StepMs()}
	folding := func() (map[int64]uint64, error) {
		states, err := e.s.Hours(ctx, span)
		out := map[int64]uint64{}
		for _, h := range states {
			if h.State == rollup.Closing {
				out[h.EndMs] = h.Version
			}
		}
		return out, err
	}
	before, err := folding()
	if err != nil {
		return err
	}
	until := time.Now().Add(foldTimeout)
	return poll(ctx, func() (bool, error) {
		now, err := folding()
		if err != nil {
			return false, err
		}
		for end, version := range before {
			if now[end] != version {
				delete(before, end)
			}
		}
		return len(before) == 0 || time.Now().After(until), nil
	})
}

// poll calls done until it is.
func poll(ctx context.Context, done func() (bool, error)) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
