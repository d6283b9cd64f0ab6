package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/metricstream/metricstream/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the number of PostgreSQL's advisory lock that one process at a time migrates under.
const migrationLock = 7_302_199

// migrate runs the migrations that the database has not seen, all of them or none.
func (d *DB) migrate(ctx context.Context) error {
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot connect to %s: %w", d.name(), err)
	}
	defer tx.Rollback()
	if d.postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
			return fmt.Errorf("cannot lock the metadata for migrations: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS migrations (id BIGINT PRIMARY KEY)"); err != nil {
		return fmt.Errorf("cannot create the table of migrations: %w", err)
	}
	if err := runMigrations(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot commit the migrations of the metadata: %w", err)
	}
	return nil
}

func runMigrations(ctx context.Context, tx *sql.Tx) error {
	done, err := query(ctx, tx, scanNumber, "SELECT id FROM migrations")
	if err != nil {
		return fmt.Errorf("cannot read which migrations the metadata has seen: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	known := map[int]bool{}
	for _, file := range files {
		id, err := strconv.Atoi(strings.TrimPrefix(file, "migrations/")[:4])
		if err != nil {
			return fmt.Errorf("cannot read the number of %s: %w", file, err)
		}
		known[id] = true
		if slices.Contains(done, id) {
			continue
		}
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("cannot run %s: %w", file, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO migrations (id) VALUES ($1)", id); err != nil {
			return fmt.Errorf("cannot record %s: %w", file, err)
		}
	}
	for _, id := range done {
		if !known[id] {
			return store.Invalidf("cannot use the metadata: it was written by a newer version (this one does not know its migration %d); run that one", id)
		}
	}
	return nil
}

func scanNumber(r row) (n int, err error) {
	err = r.Scan(&n)
	return n, err
}
