package erasure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

const (
	// maxKeys is how many series one erasure may have: readers of the log may have to hold them in memory.
	maxKeys = 10_000_000

	// chunkKeys is how many of them are written at once.
	chunkKeys = 32_768

	// maxRounds is how often points are removed when some are left: of those that were written meanwhile.
	maxRounds = 3
)

// advance does one step of an erasure. What can never be done ends it, as long as nothing is erased.
func (j *Job) advance(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	steps := map[string]func(context.Context, db.Erasure) (db.Erasure, error){
		db.ErasureRequested: j.note,
		db.ErasureWaiting:   j.resolve,
		db.ErasureDeleting:  j.delete,
		db.ErasureCleaning:  j.clean,
	}
	began := e.State
	next, err := steps[e.State](ctx, e)
	if err == nil {
		j.Logger.Info("erasure", "erasure", e.ID, "tenant", e.Tenant, "step", began, "next", next.State)
		return next, nil
	}
	if kind := store.KindOf(err); !e.Listed && (kind == store.KindInvalid || kind == store.KindLimit) {
		j.Logger.Error("an erasure cannot be done", "erasure", e.ID, "tenant", e.Tenant, "err", err)
		e.State, e.Failure = db.ErasureFailed, err.Error()
		return j.Ledger.FinishErasure(ctx, e)
	}
	return e, err
}

// note notes where the log ends: what is before that is erased, what comes later stays.
func (j *Job) note(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	// No dead letter that was on its way comes behind the ends, nor a write of a tenant that is deleted, and none goes any more.
	if err := j.publish(ctx, e); err != nil {
		return e, err
	}
	ends, err := j.Log.Ends(ctx)
	if err != nil {
		return e, err
	}
	failpoint.Hit("erasure/before-noted")
	e.State, e.Topic, e.Generation, e.Ends, e.Noted = db.ErasureWaiting, ends.Topic, ends.Generation, ends.Next, j.Now()
	return j.Ledger.SaveErasure(ctx, e)
}

func (j *Job) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve waits until the tables have what the log had, and writes down which series are chosen.
func (j *Job) resolve(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	for {
		behind, err := j.behind(ctx, e)
		if err != nil {
			return e, err
		}
		if behind == 0 {
			break
		}
		j.progress(ctx, e, fmt.Sprintf("%d records of the log are not in the tables yet", behind))
		if err := j.sleep(ctx, interval/4); err != nil {
			return e, err
		}
	}
	selectors, err := e.Matchers()
	if err != nil {
		return e, err
	}
	w := &keyWriter{job: j, erasure: e, kind: db.ErasedKeys}
	if e.Listed { // more has come of a tenant that is deleted: what was found before stays in the list
		err = j.Ledger.ErasureKeys(ctx, e.ID, w.kind, func([]byte) error { w.chunk++; return nil })
	} else {
		err = j.Ledger.ClearErasureKeys(ctx, e, w.kind)
	}
	if err != nil {
		return e, err
	}
	if err := j.Tables.Find(ctx, e.Tenant, selectors, e.Range(), func(keys []store.Key) error { return w.add(ctx, keys) }); err != nil {
		return e, err
	}
	if w.n == 0 && !e.Whole() { // there is nothing to leave out of the log
		e.State, e.Report = db.ErasureDone, &db.ErasureReport{Tables: []db.ErasedTable{}}
		return j.Ledger.FinishErasure(ctx, e)
	}
	failpoint.Hit("erasure/before-listed")
	e.State, e.Listed = db.ErasureDeleting, true
	if e.Report == nil {
		e.Report = &db.ErasureReport{Tables: []db.ErasedTable{}}
	}
	e.Report.Series += w.n
	return j.Ledger.SaveErasure(ctx, e)
}

// behind counts the records before the noted ends that are not in the tables.
func (j *Job) behind(ctx context.Context, e db.Erasure) (int64, error) {
	now, err := j.Log.Ends(ctx)
	if err != nil || now.Generation != e.Generation { // another topic: what was before is gone
		return 0, err
	}
	written, err := j.Log.Written(ctx, e.Generation)
	if err != nil {
		return 0, err
	}
	behind := int64(0)
	for p, end := range e.Ends {
		behind += max(0, end-written[p])
	}
	return behind, nil
}

// publish waits until every reader of the log knows the list, and writes nothing any more that it began with another one.
func (j *Job) publish(ctx context.Context, e db.Erasure) error {
	version, err := j.Ledger.ErasuresVersion(ctx)
	if err != nil {
		return err
	}
	if j.Publish != nil {
		if err := j.Publish(ctx); err != nil {
			return err
		}
	}
	for {
		readers, err := j.Ledger.Readers(ctx)
		if err != nil {
			return err
		}
		behind := 0
		for _, r := range readers {
			if r.Version < version && j.alive(r) {
				behind++
			}
		}
		if behind == 0 {
			return nil
		}
		j.progress(ctx, e, fmt.Sprintf("waiting for %d processes to leave out of the log what is erased", behind))
		if err := j.sleep(ctx, interval/4); err != nil {
			return err
		}
	}
}

// alive tells whether a reader gives signs of life, by this process's clock.
func (j *Job) alive(r db.Reader) bool {
	last, ok := j.signs[r.ID]
	if !ok || !r.Seen.Equal(last.at) {
		last = sign{at: r.Seen, seen: j.Now()}
		j.signs[r.ID] = last
	}
	return j.Now().Sub(last.seen) < silence
}

// delete removes the points, and finds out which series have none any more.
func (j *Job) delete(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	if err := j.publish(ctx, e); err != nil {
		return e, err
	}
	if err := j.Tables.Prepare(ctx, e.ID); err != nil {
		return e, err
	}
	if err := j.keys(ctx, e, db.ErasedKeys, func(keys []store.Key) error { return j.Tables.AddKeys(ctx, e.ID, keys) }); err != nil {
		return e, err
	}
	var err error
	if len(e.Report.Tables) == 0 {
		if e, err = j.countBefore(ctx, e); err != nil {
			return e, err
		}
	}
	if err := j.deletePoints(ctx, e); err != nil {
		return e, err
	}
	failpoint.Hit("erasure/before-applied")
	if err := j.Tables.SetApplied(ctx, e.ID); err != nil {
		return e, err
	}
	// What has come since is there again before anybody asks which series have nothing left. Receivers know the list, so
	// whatever comes from now on comes with its labels.
	if err := j.writeAgain(ctx, e); err != nil {
		return e, err
	}
	if err := j.Tables.Changed(ctx, e.Tenant); err != nil {
		return e, err
	}
	if e.Report.Gone, err = j.findGone(ctx, e); err != nil {
		return e, err
	}
	if e.Families, err = j.families(ctx, e); err != nil {
		return e, err
	}
	failpoint.Hit("erasure/before-cleaning")
	e.State = db.ErasureCleaning
	return j.Ledger.SaveErasure(ctx, e)
}

// countBefore writes into the report what there is, before anything of it is removed.
func (j *Job) countBefore(ctx context.Context, e db.Erasure) (db.Erasure, error) {
	j.progress(ctx, e, "counting")
	counts, err := j.Tables.Count(ctx, e.ID, e.Range())
	if err != nil {
		return e, err
	}
	for _, c := range counts {
		e.Report.Tables = append(e.Report.Tables, db.ErasedTable{Table: c.Table, Before: c.Rows, Query: c.Query})
	}
	failpoint.Hit("erasure/before-counted")
	return j.Ledger.SaveErasure(ctx, e)
}

func (j *Job) deletePoints(ctx context.Context, e db.Erasure) error {
	for range maxRounds {
		err := j.Tables.DeletePoints(ctx, e.ID, e.Range(), func(table string, done, all int) error {
			failpoint.Hit("erasure/in-table")
			j.progress(ctx, e, fmt.Sprintf("erasing from %s, partition %d of %d", table, done+1, all))
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		counts, err := j.Tables.Count(ctx, e.ID, e.Range())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(counts, func(c list.TableCount) bool { return c.Rows > 0 && c.Table != "series" && c.Table != "postings" }) {
			return nil
		}
	}
	return nil // series that are written to all the time; what came meanwhile is written again
}

// findGone writes down of which series nothing is left, and counts them. Of a tenant that is deleted it is all.
func (j *Job) findGone(ctx context.Context, e db.Erasure) (uint64, error) {
	if err := j.Tables.ClearGone(ctx, e.ID); err != nil {
		return 0, err
	}
	if forGood(e) {
		return e.Report.Series, j.keys(ctx, e, db.ErasedKeys, func(keys []store.Key) error { return j.Tables.AddGone(ctx, e.ID, keys) })
	}
	if err := j.Ledger.ClearErasureKeys(ctx, e, db.GoneKeys); err != nil {
		return 0, err
	}
	w := &keyWriter{job: j, erasure: e, kind: db.GoneKeys}
	if err := j.Tables.Gone(ctx, e.ID, func(keys []store.Key) error { return w.add(ctx, keys) }); err != nil {
		return 0, err
	}
	return w.n, j.keys(ctx, e, db.GoneKeys, func(keys []store.Key) error { return j.Tables.AddGone(ctx, e.ID, keys) })
}

// families returns the metrics whose metadata goes: those that went before, in case their series are gone already.
func (j *Job) families(ctx context.Context, e db.Erasure) ([]string, error) {
	find := func() ([]string, error) { return j.Tables.Families(ctx, e.ID, e.Tenant) }
	if e.Whole() {
		find = func() ([]string, error) { return j.Tables.AllFamilies(ctx, e.Tenant) }
	}
	found, err := find()
	all := append(slices.Clone(e.Families), found...)
	slices.Sort(all)
	return slices.Compact(all), err
}

// progress writes what is being done, now and then. It is no matter when it cannot.
func (j *Job) progress(ctx context.Context, e db.Erasure, text string) {
	if now := j.Now(); now.Sub(j.noted) >= interval {
		j.noted = now
		if err := j.Ledger.NoteErasure(ctx, e, text); err != nil {
			j.Logger.Debug("the progress of an erasure is not shown", "err", err)
		}
	}
}
