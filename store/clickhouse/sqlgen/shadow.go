package sqlgen

import (
	"fmt"
	"math"
	"strings"
)

// Compared is a table of the live database beside the same table of its shadow. Unlike elsewhere, names of databases
// and numbers are part of the text: neither comes from a request.
type Compared struct {
	Live, Shadow string // databases

	Table string

	// Identity makes a UInt64 of a row: with metric, id and ts it is what the row is. Show is the row as text for
	// people.
	Identity, Show string
}

// Slice is a part of one day's rows, small enough for one statement to hold.
type Slice struct {
	MinMs, MaxMs         int64
	MinMetric, MaxMetric uint32

	// Of Of parts by id it is number Part; an Of of 0 or 1 is all.
	Of, Part uint64
}

// Day is everything between two times.
func Day(minMs, maxMs int64) Slice {
	return Slice{MinMs: minMs, MaxMs: maxMs, MaxMetric: math.MaxUint32}
}

func (s Slice) where() string {
	w := fmt.Sprintf("ts >= %d AND ts <= %d", s.MinMs, s.MaxMs)
	if s.MinMetric > 0 || s.MaxMetric < math.MaxUint32 {
		w += fmt.Sprintf(" AND metric >= %d AND metric <= %d", s.MinMetric, s.MaxMetric)
	}
	if s.Of > 1 {
		w += fmt.Sprintf(" AND id %% %d = %d", s.Of, s.Part)
	}
	return w
}

// Rows returns metric and rows: how many rows both sides have of each metric, ascending.
func (c Compared) Rows(s Slice) string {
	return fmt.Sprintf("SELECT metric, count() AS rows FROM (SELECT metric FROM %[1]s WHERE %[3]s UNION ALL SELECT metric FROM %[2]s WHERE %[3]s) GROUP BY metric ORDER BY metric",
		c.live(), c.shadow(), s.where())
}

// sides is every row once, with side telling where it is: 1 live, 2 shadow, 3 both. Rows that wait to be merged into
// one count once.
func (c Compared) sides(where string) string {
	one := func(table string, side int) string {
		return fmt.Sprintf("SELECT metric, id, ts, %s AS identity, %s AS shown, toUInt8(%d) AS one FROM %s WHERE %s", c.Identity, c.Show, side, table, where)
	}
	return fmt.Sprintf("SELECT metric, id, ts, identity, any(shown) AS row, groupBitOr(one) AS side FROM (%s UNION ALL %s) GROUP BY metric, id, ts, identity",
		one(c.live(), 1), one(c.shadow(), 2))
}

// Difference returns one row of a slice: series that differ, rows only live, rows only in the shadow, rows in both,
// and the first series that differ as columns: metrics, ids, live and shadow rows.
func (c Compared) Difference(s Slice, examples int) string {
	uncounted := c
	uncounted.Show = "0"
	first := func(column string) string { return fmt.Sprintf("groupArrayIf(%d)(%s, differs)", examples, column) }
	return fmt.Sprintf("SELECT countIf(differs), sum(live), sum(shadow), sum(same), %s, %s, %s, %s FROM ("+
		"SELECT metric, id, countIf(side = 1) AS live, countIf(side = 2) AS shadow, countIf(side = 3) AS same, live + shadow > 0 AS differs FROM (%s) GROUP BY metric, id)",
		first("metric"), first("id"), first("live"), first("shadow"), uncounted.sides(s.where()))
}

// Examples returns ts, side and row of rows of one series that only one side has.
func (c Compared) Examples(s Slice, metric uint32, id uint64, limit int) string {
	return fmt.Sprintf("SELECT ts, side, row FROM (%s) WHERE side != 3 ORDER BY ts, side LIMIT %d",
		c.sides(fmt.Sprintf("%s AND metric = %d AND id = %d", s.where(), metric, id)), limit)
}

// Copy inserts into the live table what only the shadow has of a slice.
func (c Compared) Copy(s Slice, columns []string) string {
	list := Columns(columns)
	return fmt.Sprintf("INSERT INTO %[1]s (%[3]s) SELECT %[3]s FROM %[2]s WHERE %[4]s AND (metric, id, ts, %[5]s) NOT IN (SELECT metric, id, ts, %[5]s FROM %[1]s WHERE %[4]s)",
		c.live(), c.shadow(), list, s.where(), c.Identity)
}

func (c Compared) live() string   { return Table(c.Live, c.Table) }
func (c Compared) shadow() string { return Table(c.Shadow, c.Table) }

// Columns is a list of names, quoted.
func Columns(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = Identifier(n)
	}
	return strings.Join(out, ", ")
}

// Table is a table's full name, quoted.
func Table(database, table string) string { return Identifier(database) + "." + Identifier(table) }

// Identifier quotes a name.
func Identifier(name string) string { return "`" + identifier.Replace(name) + "`" }

var identifier = strings.NewReplacer(`\`, `\\`, "`", "\\`")
