package clickhouse

import (
	"context"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

var _ rollup.Reader = (*Store)(nil)

// Coverage returns what the tables have of each tier; see [rollup.Reader]. An hour counts when it is closed and has no
// marks, for the tiers that it was folded into, as far back as the tables have partitions of the tenant's classes. Where raw
// is gone it counts once it was closed: there is nothing better than its rows while it is folded again.
func (s *Store) Coverage(ctx context.Context, tenant string) (rollup.Coverage, error) {
	var c rollup.Coverage
	from, err := s.oldest(ctx, s.history(tenant, time.Now()))
	if err != nil {
		return c, err
	}
	c[rollup.Raw] = []rollup.Span{{FromMs: from[rollup.Raw], ToMs: math.MaxInt64}}
	const statement = `SELECT toInt64(hour) * 60000 AS ms, argMax(tiers, rank) AS has,
    argMax(state, rank) = 2 AND hour NOT IN (SELECT hour FROM rollup_marks FINAL WHERE cleared = 0) AS settled
FROM rollup_hours GROUP BY hour HAVING has != 0 ORDER BY hour`
	err = s.scan(ctx, "which hours are downsampled", statement, nil, func(r driver.Rows) error {
		var end int64
		var tiers, settled uint8
		if err := r.Scan(&end, &tiers, &settled); err != nil {
			return err
		}
		if settled == 0 && end > from[rollup.Raw] {
			return nil
		}
		hour := rollup.Span{FromMs: end - rollup.Hour.StepMs(), ToMs: end}
		for _, tier := range []rollup.Tier{rollup.Minute, rollup.Hour} {
			if hour.FromMs >= from[tier] && rollup.Tiers(tiers).Has(tier) {
				c[tier] = extend(c[tier], hour)
			}
		}
		return nil
	})
	return c, err
}

// extend adds a span behind the others.
func extend(spans []rollup.Span, next rollup.Span) []rollup.Span {
	if n := len(spans); n > 0 && spans[n-1].ToMs == next.FromMs {
		spans[n-1].ToMs = next.ToMs
		return spans
	}
	return append(spans, next)
}

// oldest returns from when on a tenant has each tier, whose samples have had the classes of its history.
func (s *Store) oldest(ctx context.Context, history []retention.Past) (from [3]int64, err error) {
	all, err := s.Partitions(ctx)
	if err != nil {
		return from, err
	}
	gone, err := s.expiries(ctx)
	if err != nil {
		return from, err
	}
	return joined(history, func(class uint8) [3]int64 { return oldestOf(class, all, gone) }), nil
}

// joined returns from when on there is everything of samples that have had several classes, of each of which of tells what
// it has from when.
func joined(history []retention.Past, of func(class uint8) [3]int64) [3]int64 {
	from := [3]int64{nothing, nothing, nothing}
	var done [3]bool
	for _, past := range history {
		begin := of(past.Class)
		for tier := range from {
			switch {
			case done[tier]:
			case past.Off[tier]:
				done[tier] = true
			case past.Over[tier]:
				// Samples that come late have the class of the moment, so a class can have days from before its time, but not all
				// of them.
				from[tier], done[tier] = min(from[tier], max(begin[tier], past.SinceMs)), true
			default:
				from[tier] = min(from[tier], past.SinceMs)
			}
		}
	}
	return from
}

// nothing is when a tier begins of which there is nothing.
const nothing = math.MaxInt64

// oldestOf returns from when on a class has each tier: from its oldest partition on, and after everything that the janitor has
// removed, because what comes late can make a partition anew of which most is gone. Minutes are in their table, or for sparse
// series in raw.
func oldestOf(class uint8, all []retention.Partition, gone []expiry) [3]int64 {
	from := [3]int64{nothing, nothing, nothing}
	for _, p := range all {
		if p.Class != class {
			continue
		}
		switch p.Kind {
		case retention.Raw:
			from[rollup.Raw] = min(from[rollup.Raw], p.FromMs)
			from[rollup.Minute] = min(from[rollup.Minute], p.FromMs)
		case retention.Minute:
			from[rollup.Minute] = min(from[rollup.Minute], p.FromMs)
		case retention.Hour:
			from[rollup.Hour] = min(from[rollup.Hour], p.FromMs)
		}
	}
	lost := false
	for _, e := range gone {
		if e.class != class {
			continue
		}
		of := partitioned[e.table]
		end := e.day*dayMs + of.width
		switch of.kind {
		case retention.Raw:
			from[rollup.Raw], lost = max(from[rollup.Raw], end), true
			if e.whole { // with those of the sparse series
				from[rollup.Minute] = max(from[rollup.Minute], end)
			}
		case retention.Minute:
			from[rollup.Minute] = max(from[rollup.Minute], end)
		case retention.Hour:
			from[rollup.Hour] = max(from[rollup.Hour], end)
		}
	}
	if raw := from[rollup.Raw]; !lost && raw != nothing {
		// There was nothing before: what is said of such hours is that they are empty, and raw knows that too.
		from[rollup.Hour] = max(from[rollup.Hour], raw)
	}
	return from
}
