package chaos

import "slices"

// progressTable says how far the log is in the other tables.
const progressTable = "ingest_progress"

// names are the tables that hold something, the one of progress first.
func (d *database) names() []string {
	d.t.Helper()
	rows, err := d.Query(d.t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT LIKE 'copy_%'")
	if err != nil {
		d.t.Fatalf("cannot list the tables: %v", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			d.t.Fatalf("cannot list the tables: %v", err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || !slices.Contains(names, progressTable) {
		d.t.Fatalf("cannot list the tables: %v, %v", names, err)
	}
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case a == progressTable:
			return -1
		case b == progressTable:
			return 1
		}
		return 0
	})
	return names
}

func (d *database) do(statement string) {
	d.t.Helper()
	if err := d.Exec(d.t.Context(), statement); err != nil {
		d.t.Fatalf("%s: %v", statement, err)
	}
}

// copyTables makes a backup under whoever writes: what the copied progress speaks of is in what is copied after it.
func (d *database) copyTables() {
	d.t.Helper()
	for _, name := range d.names() {
		d.do("CREATE TABLE copy_" + name + " AS " + name)
		d.do("INSERT INTO copy_" + name + " SELECT * FROM " + name)
	}
}

// restoreTables makes the tables what they were at copyTables. Nobody may write meanwhile.
func (d *database) restoreTables() {
	d.t.Helper()
	for _, name := range d.names() {
		d.do("TRUNCATE TABLE " + name)
		d.do("INSERT INTO " + name + " SELECT * FROM copy_" + name)
	}
}
