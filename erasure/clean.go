package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// clean removes the series of which nothing is left, writes again what was written since the request, and ends the erasure.
func (j *Job) clean(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	if err := j.publish(ctx, e); err != nil {
		return e, err
	}
	if applied, err := j.Tables.Applied(ctx); err != nil || !applied[e.ID] {
		if err == nil { // restored from a backup meanwhile
			e.State = db.ErasureDeleting
			e, err = j.Ledger.SaveErasure(ctx, e)
		}
		return e, err
	}
	if err := j.Tables.AddFamilies(ctx, e.ID, e.Tenant, e.Families); err != nil {
		return e, err
	}
	if !slices.ContainsFunc(e.Report.Tables, func(t db.ErasedTable) bool { return t.Table == metadataTable }) {
		c, err := j.Tables.CountFamilies(ctx, e.ID)
		if err != nil {
			return e, err
		}
		e.Report.Tables = append(e.Report.Tables, db.ErasedTable{Table: c.Table, Before: c.Rows, Query: c.Query})
		if e, err = j.Ledger.SaveErasure(ctx, e); err != nil {
			return e, err
		}
	}
	j.progress(ctx, e, "erasing series")
	if err := j.Tables.DeleteSeries(ctx, e.ID); err != nil {
		return e, err
	}
	failpoint.Hit("erasure/before-verified")
	if err := j.verify(ctx, &e); err != nil {
		return e, err
	}
	if more, err := j.more(ctx, e); more || err != nil {
		if err == nil {
			j.Logger.Warn("more has come of a tenant that is deleted; it is erased too", "erasure", e.ID, "tenant", e.Tenant)
			e.State = db.ErasureRequested
			e, err = j.Ledger.SaveErasure(ctx, e)
		}
		return e, err
	}
	if err := j.writeAgain(ctx, e); err != nil {
		return e, err
	}
	if err := j.Tables.Changed(ctx, e.Tenant); err != nil {
		return e, err
	}
	if j.Answers != nil {
		if err := j.Answers(ctx, e.Tenant); err != nil {
			return e, err
		}
	}
	failpoint.Hit("erasure/before-done")
	e.State = db.ErasureDone
	e, err := j.Ledger.FinishErasure(ctx, e)
	if err != nil {
		return e, err
	}
	j.metrics.erased(e.Report)
	if j.Publish != nil { // a new tenant of the name may write at once; where that fails, a little later
		err = j.Publish(ctx)
	}
	return e, err
}

const metadataTable = "metric_metadata"

// verify counts what is left.
func (j *Job) verify(ctx context.Context, e *db.Erasure) error {
	counts, err := j.Tables.Count(ctx, e.ID, e.Range())
	if err != nil {
		return err
	}
	metadata, err := j.Tables.CountFamilies(ctx, e.ID)
	if err != nil {
		return err
	}
	tables := slices.Clone(e.Report.Tables)
	for _, c := range append(counts, metadata) {
		i := slices.IndexFunc(tables, func(t db.ErasedTable) bool { return t.Table == c.Table })
		if i < 0 { // made since, as a shadow's are
			tables, i = append(tables, db.ErasedTable{Table: c.Table}), len(tables)
		}
		tables[i].After, tables[i].Query = c.Rows, c.Query
	}
	e.Report.Tables = tables
	return nil
}

// more tells whether something of a tenant that is deleted has come since: from a receiver that did not hear of it in time.
func (j *Job) more(ctx context.Context, e db.Erasure) (bool, error) {
	if !forGood(e) {
		return false, nil
	}
	more := slices.ContainsFunc(e.Report.Tables, func(t db.ErasedTable) bool { return t.After > 0 })
	err := j.Tables.Find(ctx, e.Tenant, nil, e.Range(), func(keys []store.Key) error { more = more || len(keys) > 0; return nil })
	if err != nil || more {
		return more, err
	}
	families, err := j.Tables.AllFamilies(ctx, e.Tenant)
	return len(families) > 0, err
}

// forGood tells whether an erasure is the first of a tenant that is deleted: nothing of it comes back. When it is done again,
// there may be a new tenant of the name.
func forGood(e db.Erasure) bool { return e.Whole() && e.Report.Again == 0 }

// writeAgain writes what the log has of the series behind the noted ends: some of it was in the tables when points were
// removed. Of a tenant that is deleted nothing comes back.
func (j *Job) writeAgain(ctx context.Context, e db.Erasure) error {
	ends, err := j.Log.Ends(ctx)
	if err != nil || ends.Generation != e.Generation || forGood(e) {
		return err
	}
	from, to := map[int32]int64{}, map[int32]int64{}
	for p, next := range ends.Next {
		if begin := max(e.Ends[p], ends.Oldest[p]); begin < next {
			from[p], to[p] = begin, next
		}
	}
	if len(from) == 0 {
		return nil
	}
	entry := EntryOf(e)
	if err := j.load(ctx, &entry); err != nil {
		return err
	}
	j.progress(ctx, e, "writing again what was written since the request")
	err = j.Log.WriteAgain(ctx, from, to, entry.Only)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("cannot write again what was written since the request: %w", err)
	}
	return err
}
