package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// Shadow is a second database beside the live one, with the same schema, for what is read from the log again: it can
// be compared with the live tables day by day, and taken over into them. The live tables may be written and read at
// the same time. Its name is the live one's with _shadow behind it.
//
// The log is a span of arrival time, while the tables hold far older samples too. So nothing is ever removed from the
// live tables but what [Shadow.Replace] replaces, and that stays in the shadow's tables replaced_* until the shadow is
// dropped.
type Shadow struct {
	live, store  *Store
	liveDB, name string

	// sliceRows is how many rows a statement that compares holds at once, some 60 bytes each.
	sliceRows uint64
}

const defaultSliceRows = 4 << 20

// CreateShadow opens the shadow of the database, and creates it where there is none. Close it when done.
func (s *Store) CreateShadow(ctx context.Context) (*Shadow, error) {
	o := *s.options
	o.Auth.Database = s.shadowName()
	shadow, err := open(ctx, &o, s.maxConnections, Options{})
	if err != nil {
		return nil, fmt.Errorf("cannot open database %q: %w", o.Auth.Database, err)
	}
	h := &Shadow{live: s, store: shadow, liveDB: s.options.Auth.Database, name: o.Auth.Database, sliceRows: defaultSliceRows}
	if err := h.createState(ctx); err != nil {
		_ = shadow.Close()
		return nil, err
	}
	return h, nil
}

// OpenShadow opens the shadow that there is.
func (s *Store) OpenShadow(ctx context.Context) (*Shadow, error) {
	var n uint64
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"name": sqlgen.Escape(s.shadowName())}))
	if err := s.admin.QueryRow(named, "SELECT count() FROM system.databases WHERE name = {name:String}").Scan(&n); err != nil {
		return nil, fmt.Errorf("cannot look for database %q: %w", s.shadowName(), verdict(err))
	}
	if n == 0 {
		return nil, store.Invalidf("there is no shadow: database %q does not exist; `metricstream replay --shadow` makes it", s.shadowName())
	}
	return s.CreateShadow(ctx)
}

func (s *Store) shadowName() string { return s.options.Auth.Database + "_shadow" }

// Name returns the name of the shadow's database.
func (h *Shadow) Name() string { return h.name }

// Store returns the shadow as a store to write to and to read from. It is closed with the shadow.
func (h *Shadow) Store() *Store { return h.store }

// Close closes the shadow's connections.
func (h *Shadow) Close() error { return h.store.Close() }

// Drop removes the shadow with everything in it. It refuses while the replacement of a day is unfinished: what arrived
// meanwhile is then still to be read from the log.
func (h *Shadow) Drop(ctx context.Context) error {
	days, err := h.Unfinished(ctx)
	if err != nil {
		return err
	}
	if len(days) > 0 {
		return store.Invalidf("cannot drop the shadow: the swap of %s is not finished; run `metricstream shadow swap` again first", JoinDays(days))
	}
	if err := h.live.admin.Exec(large(ctx), "DROP DATABASE "+sqlgen.Identifier(h.name)+" SYNC"); err != nil {
		return fmt.Errorf("cannot drop database %q: %w", h.name, verdict(err))
	}
	return nil
}

// large lifts the server's limits on the size of what may be dropped: an operator asked for it.
func large(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_table_size_to_drop": 0, "max_partition_size_to_drop": 0, "log_comment": "metricstream shadow",
	}))
}

// pointTable is a table of rows that are keyed by series and time.
type pointTable struct {
	name           string
	identity, show string

	// partitioned says that it has partitions of a day each, which can be replaced.
	partitioned bool
}

var pointTables = []pointTable{
	{"samples", "reinterpretAsUInt64(value)", "toString(value)", true},
	{"histograms", "hash", "concat('histogram, count ', toString(count), ', sum ', toString(sum))", true},
	{"exemplars", "hash", "concat('exemplar ', toString(value), ' ', toString(labels))", true},
	{"starts", "reinterpretAsUInt64(start)", "concat('start ', toString(start))", false},
}

func (h *Shadow) compared(t pointTable) sqlgen.Compared {
	return sqlgen.Compared{Live: h.liveDB, Shadow: h.name, Table: t.name, Identity: t.identity, Show: t.show}
}

// exec runs a statement that may take long on the live side.
func (h *Shadow) exec(ctx context.Context, what, statement string) error {
	if err := h.live.admin.Exec(large(ctx), statement); err != nil {
		return fmt.Errorf("cannot %s: %w", what, verdict(err))
	}
	return nil
}

// JoinDays writes days as dates, for people.
func JoinDays(days []Day) string {
	names := make([]string, len(days))
	for i, d := range days {
		names[i] = d.String()
	}
	return strings.Join(names, ", ")
}
