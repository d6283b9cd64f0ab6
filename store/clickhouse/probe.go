package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
)

// Server is what was found out about a ClickHouse server.
type Server struct {
	Version      string
	Major, Minor int
}

// The oldest version that works and the oldest that is recommended, as year and month.
const (
	requiredMajor, requiredMinor       = 25, 9
	recommendedMajor, recommendedMinor = 26, 6
)

// Recommended returns what speaks for another version, or nothing.
func (s Server) Recommended() string {
	if s.before(recommendedMajor, recommendedMinor) {
		return fmt.Sprintf("version %d.%d or newer is recommended", recommendedMajor, recommendedMinor)
	}
	return ""
}

func (s Server) before(major, minor int) bool {
	return s.Major < major || s.Major == major && s.Minor < minor
}

// required are the parts of ClickHouse that the schema and the statements use, each by the system table that
// lists it.
var required = []struct{ table, column, name string }{
	{"table_engines", "name", "ReplacingMergeTree"},
	{"table_engines", "name", "AggregatingMergeTree"},
	{"functions", "name", "match"},
	{"functions", "name", "fromUnixTimestamp64Milli"},
	{"functions", "name", "reinterpretAsFloat64"},
	{"functions", "name", "mapKeys"},
	{"merge_tree_settings", "name", "non_replicated_deduplication_window"},
	{"merge_tree_settings", "name", "merge_selector_base"},
}

// probe reads the version and looks for everything in required.
func probe(ctx context.Context, conn clickhouse.Conn) (Server, error) {
	var s Server
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&s.Version); err != nil {
		return s, fmt.Errorf("cannot ask ClickHouse for its version: %w", openVerdict(err))
	}
	if _, err := fmt.Sscanf(s.Version, "%d.%d", &s.Major, &s.Minor); err != nil {
		return s, store.Invalidf("cannot read the version of ClickHouse from %q: %w", s.Version, err)
	}
	if s.before(requiredMajor, requiredMinor) {
		return s, store.Invalidf("cannot use ClickHouse %s: version %d.%d or newer is required", s.Version, requiredMajor, requiredMinor)
	}
	missing, err := missingParts(ctx, conn)
	if err != nil {
		return s, err
	}
	if len(missing) > 0 {
		return s, store.Invalidf("cannot use ClickHouse %s: it does not have %s", s.Version, strings.Join(missing, ", "))
	}
	return s, nil
}

func missingParts(ctx context.Context, conn clickhouse.Conn) ([]string, error) {
	var missing []string
	for _, r := range required {
		var n uint64
		q := fmt.Sprintf("SELECT count() FROM system.%s WHERE %s = {name:String}", r.table, r.column)
		named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"name": r.name}))
		if err := conn.QueryRow(named, q).Scan(&n); err != nil {
			return nil, fmt.Errorf("cannot read system.%s of ClickHouse: %w", r.table, openVerdict(err))
		}
		if n == 0 {
			missing = append(missing, r.table+" "+r.name)
		}
	}
	return missing, nil
}
