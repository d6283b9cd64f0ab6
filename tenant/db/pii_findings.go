package db

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PIIFinding is personal data that was found, without the data.
type PIIFinding struct {
	Tenant   string `json:"tenant"`
	Detector string `json:"detector"`

	// Label is where, and Metric in series of which metric, empty where its name is personal itself.
	Label  string `json:"label"`
	Metric string `json:"metric"`

	// Action is what was done.
	Action string `json:"action"`

	// Series counts the label sets, exemplars and texts of metadata in which it was found. A series counts once in each
	// receiver for as long as that remembers it, so again after a restart, a change of the settings, or an hour without samples.
	Series int64 `json:"series"`

	First time.Time `json:"first_seen"`
	Last  time.Time `json:"last_seen"`
}

// place is what there is one row of.
type place struct{ tenant, detector, label, metric, action string }

// count is what of a place has not been written yet.
type count struct{ series, firstMs, lastMs int64 }

// PIIFindings collects what receivers find, and writes it into the database in the background: no request waits for it.
type PIIFindings struct {
	db   *DB
	lost prometheus.Counter

	mu      sync.Mutex
	waiting map[place]count
}

const (
	findingsEvery = 5 * time.Second

	// maxWaiting bounds the places that wait to be written, maxFindings those of a tenant in the database, and
	// findingsPerChange those that one transaction writes.
	maxWaiting        = 10_000
	maxFindings       = 10_000
	findingsPerChange = 500
)

// NewPIIFindings returns a collection for one database.
func NewPIIFindings(d *DB, r prometheus.Registerer) *PIIFindings {
	f := &PIIFindings{db: d, waiting: map[place]count{}, lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "metricstream_pii_findings_lost_total",
		Help: "Findings of personal data that are not listed, because there are too many kinds of them. What is done with the data does not depend on it.",
	})}
	r.MustRegister(f.lost)
	return f
}

// Add adds findings; Tenant, Detector, Label, Metric, Action and Series of each are looked at.
func (f *PIIFindings) Add(all ...PIIFinding) {
	now := f.db.now().UnixMilli()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range all {
		at := place{one.Tenant, one.Detector, one.Label, one.Metric, one.Action}
		c, ok := f.waiting[at]
		if !ok && len(f.waiting) >= maxWaiting {
			f.lost.Add(float64(one.Series))
			continue
		}
		if !ok {
			c.firstMs = now
		}
		c.series, c.lastMs = c.series+one.Series, now
		f.waiting[at] = c
	}
}

// Run writes until ctx ends, and once more then. While the database is away findings wait, as far as there is room.
func (f *PIIFindings) Run(ctx context.Context) error {
	t := time.NewTicker(findingsEvery)
	defer t.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			if err := f.Flush(context.WithoutCancel(ctx)); err != nil {
				f.db.logger.Warn("the newest findings of personal data are lost", "err", err)
			}
			return ctx.Err()
		case <-t.C:
		}
		err := f.Flush(ctx)
		if err != nil && !away {
			f.db.logger.Warn("findings of personal data are written later", "err", err)
		}
		away = err != nil
	}
}

// Flush writes what waits; what cannot be written waits on. Run does it every few seconds.
func (f *PIIFindings) Flush(ctx context.Context) error {
	f.mu.Lock()
	taken := f.waiting
	f.waiting = map[place]count{}
	f.mu.Unlock()
	// In one order in every process, so that they do not deadlock.
	places := slices.SortedFunc(maps.Keys(taken), place.compare)
	for len(places) > 0 {
		n := min(len(places), findingsPerChange)
		if err := f.write(ctx, places[:n], taken); err != nil {
			f.keep(places, taken)
			return err
		}
		places = places[n:]
	}
	return nil
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.tenant, q.tenant), cmp.Compare(p.detector, q.detector), cmp.Compare(p.label, q.label), cmp.Compare(p.metric, q.metric), cmp.Compare(p.action, q.action))
}

// keep puts counts back.
func (f *PIIFindings) keep(places []place, taken map[place]count) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range places {
		c, newer := taken[p], f.waiting[p]
		c.series, c.lastMs = c.series+newer.series, max(c.lastMs, newer.lastMs)
		f.waiting[p] = c
	}
}

func (f *PIIFindings) write(ctx context.Context, places []place, counts map[place]count) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tx, err := f.db.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot write findings of personal data: %w", err)
	}
	defer tx.Rollback()
	w := findingWriter{tx: tx, rows: map[string]int{}}
	for _, p := range places {
		if err := w.write(ctx, p, counts[p]); err != nil {
			return fmt.Errorf("cannot write a finding of personal data: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot commit findings of personal data: %w", err)
	}
	f.lost.Add(float64(w.lost))
	return nil
}

// findingWriter writes findings in one transaction.
type findingWriter struct {
	tx   *sql.Tx
	rows map[string]int // of the tenants that got one
	lost int64
}

// write adds to a row, or makes one where the tenant has room.
func (w *findingWriter) write(ctx context.Context, p place, c count) error {
	done, err := w.tx.ExecContext(ctx, "UPDATE pii_findings SET series = series + $1, last_ms = $2 WHERE tenant = $3 AND detector = $4 AND label = $5 AND metric = $6 AND action = $7",
		c.series, c.lastMs, p.tenant, p.detector, p.label, p.metric, p.action)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	n, ok := w.rows[p.tenant]
	if !ok {
		if err := w.tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM pii_findings WHERE tenant = $1", p.tenant).Scan(&n); err != nil {
			return err
		}
	}
	if n >= maxFindings {
		w.lost += c.series
		return nil
	}
	w.rows[p.tenant] = n + 1
	_, err = w.tx.ExecContext(ctx, `INSERT INTO pii_findings (tenant, detector, label, metric, action, series, first_ms, last_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (tenant, detector, label, metric, action) DO UPDATE SET series = pii_findings.series + EXCLUDED.series, last_ms = EXCLUDED.last_ms`,
		p.tenant, p.detector, p.label, p.metric, p.action, c.series, c.firstMs, c.lastMs)
	return err
}

// MaxPIIFindings bounds the findings of one call of [DB.PIIFindings].
const MaxPIIFindings = 1000

// PIIFindings returns the findings that the actor may see, those that were seen last first; tenant, where not empty, chooses one.
func (d *DB) PIIFindings(ctx context.Context, by Actor, tenant string, limit int) ([]PIIFinding, error) {
	seen := by.Tenants
	if by.operator() {
		seen = nil
	}
	if tenant != "" {
		if !by.Covers(tenant) {
			return nil, ErrNotFound
		}
		seen = []string{tenant}
	} else if !by.operator() && len(seen) == 0 {
		return []PIIFinding{}, nil
	}
	where, args := "", []any{min(max(limit, 1), MaxPIIFindings)}
	for i, t := range seen {
		args = append(args, t)
		where += map[bool]string{true: " WHERE tenant IN (", false: ", "}[i == 0] + fmt.Sprintf("$%d", len(args))
	}
	if len(seen) > 0 {
		where += ")"
	}
	all, err := query(ctx, d.sql, scanFinding, "SELECT tenant, detector, label, metric, action, series, first_ms, last_ms FROM pii_findings"+where+
		" ORDER BY last_ms DESC, tenant, detector, label, metric, action LIMIT $1", args...)
	if err != nil {
		return nil, fmt.Errorf("cannot read the findings of personal data: %w", err)
	}
	return all, nil
}

func scanFinding(r row) (PIIFinding, error) {
	var f PIIFinding
	var first, last int64
	err := r.Scan(&f.Tenant, &f.Detector, &f.Label, &f.Metric, &f.Action, &f.Series, &first, &last)
	f.First, f.Last = timeOf(first), timeOf(last)
	return f, err
}
