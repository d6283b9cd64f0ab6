package clickhouse

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
)

// The schema is a sequence of numbered files, each a list of statements that end with a semicolon at the end of
// a line. ClickHouse has no locks to keep two processes from migrating at once, so every statement must be
// harmless when it has been executed already, or is being executed by somebody else.
//
//go:embed schema/*.sql
var schemaFiles embed.FS

type migration struct {
	version    uint32
	name       string
	checksum   string
	statements []string
}

const createMigrations = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree ORDER BY (version, checksum)`

// migrate executes the migrations that the database has not recorded.
func migrate(ctx context.Context, conn clickhouse.Conn, logger *slog.Logger) error {
	all, err := loadMigrations(schemaFiles)
	if err != nil {
		return err
	}
	if err := retryRace(ctx, func() error { return conn.Exec(ctx, createMigrations) }); err != nil {
		return fmt.Errorf("cannot create table schema_migrations: %w", openVerdict(err))
	}
	applied, err := appliedMigrations(ctx, conn)
	if err != nil {
		return err
	}
	for _, m := range all {
		if sum, ok := applied[m.version]; ok {
			if sum != m.checksum {
				logger.Warn("A migration of the schema was applied with another text", "migration", m.name)
			}
			continue
		}
		if err := m.apply(ctx, conn); err != nil {
			return err
		}
		logger.Info("Migrated the schema in ClickHouse", "migration", m.name)
	}
	return newest(applied, all)
}

// newest refuses a database that a newer version of this program has migrated.
func newest(applied map[uint32]string, all []migration) error {
	for v := range applied {
		if v > all[len(all)-1].version {
			return store.Invalidf("cannot use the schema in ClickHouse: migration %d was applied by a newer version of metricstream, this one knows %d", v, all[len(all)-1].version)
		}
	}
	return nil
}

func (m migration) apply(ctx context.Context, conn clickhouse.Conn) error {
	for i, s := range m.statements {
		if err := retryRace(ctx, func() error { return conn.Exec(ctx, s) }); err != nil {
			return fmt.Errorf("cannot execute statement %d of migration %s: %w", i+1, m.name, openVerdict(err))
		}
	}
	p := clickhouse.Parameters{"version": strconv.Itoa(int(m.version)), "name": m.name, "checksum": m.checksum}
	named := clickhouse.Context(ctx, clickhouse.WithParameters(p))
	err := conn.Exec(named, "INSERT INTO schema_migrations (version, name, checksum) SELECT {version:UInt32}, {name:String}, {checksum:String}")
	if err != nil {
		return fmt.Errorf("cannot record migration %s: %w", m.name, openVerdict(err))
	}
	return nil
}

func appliedMigrations(ctx context.Context, conn clickhouse.Conn) (map[uint32]string, error) {
	rows, err := conn.Query(ctx, "SELECT version, checksum FROM schema_migrations ORDER BY applied_at")
	if err != nil {
		return nil, fmt.Errorf("cannot read table schema_migrations: %w", openVerdict(err))
	}
	defer func() { _ = rows.Close() }()
	applied := map[uint32]string{}
	for rows.Next() {
		var v uint32
		var sum string
		if err := rows.Scan(&v, &sum); err != nil {
			return nil, fmt.Errorf("cannot read table schema_migrations: %w", err)
		}
		applied[v] = sum
	}
	return applied, rows.Err()
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)

// loadMigrations reads the numbered files, which must count from 1 without a gap.
func loadMigrations(files fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(files, "schema")
	if err != nil {
		return nil, fmt.Errorf("cannot list the schema's migrations: %w", err)
	}
	var all []migration
	for _, e := range entries {
		m := migrationName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("cannot use migration %s: its name is not like 0001_what.sql", e.Name())
		}
		version, _ := strconv.Atoi(m[1])
		if version != len(all)+1 {
			return nil, fmt.Errorf("cannot use migration %s: its number should be %04d", e.Name(), len(all)+1)
		}
		text, err := fs.ReadFile(files, "schema/"+e.Name())
		if err != nil {
			return nil, fmt.Errorf("cannot read migration %s: %w", e.Name(), err)
		}
		sum := sha256.Sum256(text)
		all = append(all, migration{uint32(version), e.Name(), hex.EncodeToString(sum[:8]), splitStatements(string(text))})
	}
	return all, nil
}

func splitStatements(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// retryRace repeats a statement that failed because another process was executing the same one.
func retryRace(ctx context.Context, f func() error) error {
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		err := f()
		var e *clickhouse.Exception
		if err == nil || !errors.As(err, &e) || wait > 2*time.Second {
			return err
		}
		switch e.Code {
		case 57, // TABLE_ALREADY_EXISTS
			60,  // UNKNOWN_TABLE: its creation has begun
			81,  // UNKNOWN_DATABASE: likewise
			82,  // DATABASE_ALREADY_EXISTS
			84,  // DIRECTORY_ALREADY_EXISTS
			473, // DEADLOCK_AVOIDED
			521: // DATABASE_REPLICATION_FAILED, a rename in the way
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
