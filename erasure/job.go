// Package erasure owns the erasure of data: the job that removes, step by step and whatever happens in between, what a request
// names from all tables. It leaves to its callers where requests come from and are kept, what the tables are, and how readers
// of the log leave out what is erased.
package erasure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// Ledger keeps the requests, see [db.DB].
type Ledger interface {
	// ErasuresVersion returns another number after each change of what OpenErasures returns.
	ErasuresVersion(ctx context.Context) (int64, error)
	OpenErasures(ctx context.Context) ([]db.Erasure, error)
	CountErasures(ctx context.Context) (map[string]int, error)
	SaveErasure(ctx context.Context, e db.Erasure) (db.Erasure, error)
	NoteErasure(ctx context.Context, e db.Erasure, progress string) error
	FinishErasure(ctx context.Context, e db.Erasure) (db.Erasure, error)
	ClearErasureKeys(ctx context.Context, e db.Erasure, kind int) error
	AddErasureKeys(ctx context.Context, e db.Erasure, kind, chunk int, data []byte) error
	ErasureKeys(ctx context.Context, id string, kind int, yield func(data []byte) error) error

	// ReportReader keeps what a reader of the log knows, and Readers returns it.
	ReportReader(ctx context.Context, r db.Reader) error
	Readers(ctx context.Context) ([]db.Reader, error)
	ForgetReaders(ctx context.Context) error
}

// Tables are what is erased from. Every method may be called again after it was interrupted. id names an erasure.
type Tables interface {
	Prepare(ctx context.Context, id string) error
	Find(ctx context.Context, tenant string, selectors [][]*labels.Matcher, r list.Range, yield func([]store.Key) error) error
	AddKeys(ctx context.Context, id string, keys []store.Key) error
	Count(ctx context.Context, id string, r list.Range) ([]list.TableCount, error)
	DeletePoints(ctx context.Context, id string, r list.Range, report func(table string, done, all int) error) error

	// Applied returns the erasures whose points these tables do not have. A backup of before has them.
	Applied(ctx context.Context) (map[string]bool, error)
	SetApplied(ctx context.Context, id string) error

	Gone(ctx context.Context, id string, yield func([]store.Key) error) error
	ClearGone(ctx context.Context, id string) error
	AddGone(ctx context.Context, id string, keys []store.Key) error
	Families(ctx context.Context, id, tenant string) ([]string, error)
	AllFamilies(ctx context.Context, tenant string) ([]string, error)
	AddFamilies(ctx context.Context, id, tenant string, names []string) error
	CountFamilies(ctx context.Context, id string) (list.TableCount, error)
	DeleteSeries(ctx context.Context, id string) error

	// Changed makes nobody use any more what was computed before.
	Changed(ctx context.Context, tenant string) error
	Forget(ctx context.Context, id string) error
}

// Ends are where a log begins and ends, by partition.
type Ends struct {
	Topic, Generation string
	Oldest, Next      map[int32]int64
}

// Log is the log that the tables are filled from.
type Log interface {
	Ends(ctx context.Context) (Ends, error)

	// Written returns how far a generation is in the tables.
	Written(ctx context.Context, generation string) (map[int32]int64, error)

	// WriteAgain writes what the log has between two places into the tables again, as only leaves it.
	WriteAgain(ctx context.Context, from, to map[int32]int64, only func(*store.Batch)) error
}

// Options are what a job works with.
type Options struct {
	Ledger Ledger
	Tables Tables
	Log    Log

	// Answers removes the answers to queries that others remember, the shared ones above all, when nothing of what is erased
	// is in the tables any more. Nil where nobody does.
	Answers func(ctx context.Context, tenant string) error

	// Owner says whether this process is to do the work now. Two that think so do no harm.
	Owner func() bool

	// Publish makes the reader of the log in this process know of a change of the list, and returns when it writes nothing
	// any more that it began before. Nil where there is none.
	Publish func(ctx context.Context) error

	// Keep is how long after its end an erasure can be done again, because tables were restored from a backup, or a dead letter
	// have what it erased.
	Keep time.Duration

	// Now is the clock; nil is time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Job does what was requested.
type Job struct {
	Options
	metrics *metrics
	noted   time.Time // when progress was written last
	idle    int64     // the version of which there was nothing to do

	// signs are the last signs of life of readers, and when they were seen first.
	signs map[string]sign
}

type sign struct{ at, seen time.Time }

// NewJob returns a job that Run starts.
func NewJob(o Options) *Job {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Job{Options: o, metrics: newMetrics(o.Registerer), signs: map[string]sign{}}
}

const (
	// interval is how often the job looks for requests.
	interval = time.Second

	// lookAfter is how often it looks whether tables were restored, and which lists nobody needs any more.
	lookAfter = 15 * time.Second

	// maxWait is the longest time between two attempts.
	maxWait = 30 * time.Second
)

// Run works until ctx ends; the error is nil then. What fails is tried again for ever.
func (j *Job) Run(ctx context.Context) error {
	wait, failed := interval, ""
	var looked time.Time
	for ctx.Err() == nil {
		err := j.cycle(ctx, &looked)
		switch {
		case err == nil:
			wait, failed = interval, ""
		case errors.Is(err, db.ErrFenced):
			j.Logger.Info("an erasure goes on in another process")
		case ctx.Err() == nil:
			j.metrics.failures.Inc()
			if wait = min(2*wait, maxWait); err.Error() != failed {
				failed = err.Error()
				j.Logger.Warn("cannot erase; it is tried again", "err", err)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// cycle does everything that is to be done now.
func (j *Job) cycle(ctx context.Context, looked *time.Time) error {
	if !j.Owner() {
		j.metrics.none()
		return nil
	}
	version, err := j.Ledger.ErasuresVersion(ctx)
	if err != nil {
		return err
	}
	look := j.Now().Sub(*looked) >= lookAfter
	if version == j.idle && !look {
		return nil
	}
	open, err := j.Ledger.OpenErasures(ctx)
	if err != nil {
		return err
	}
	if err := j.count(ctx); err != nil {
		return err
	}
	if look {
		if open, err = j.again(ctx, open); err != nil {
			return err
		}
		if err := j.Ledger.ForgetReaders(ctx); err != nil {
			return err
		}
		*looked = j.Now()
	}
	for i, e := range open {
		for e.Unfinished() {
			if !j.Owner() {
				return nil
			}
			next, err := j.advance(ctx, e)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				j.noted = time.Time{}
				j.progress(ctx, e, "it is tried again: "+err.Error())
				return err
			}
			e, open[i] = next, next
			if err := j.count(ctx); err != nil {
				return err
			}
		}
	}
	j.idle = version // what was changed since is looked at once more
	return nil
}

// count shows how many erasures there are.
func (j *Job) count(ctx context.Context) error {
	states, err := j.Ledger.CountErasures(ctx)
	if err == nil {
		j.metrics.show(states)
	}
	return err
}

// again begins erasures anew that the tables do not know of, because they were restored from a backup of before, and ends
// those that neither the log nor a backup can need.
func (j *Job) again(ctx context.Context, open []db.Erasure) ([]db.Erasure, error) {
	listed := false
	for _, e := range open {
		listed = listed || !e.Unfinished()
	}
	if !listed {
		return open, nil
	}
	applied, err := j.Tables.Applied(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := j.Log.Ends(ctx)
	if err != nil {
		return nil, err
	}
	for i, e := range open {
		switch {
		case e.Unfinished():
			continue
		case !applied[e.ID]:
			j.Logger.Warn("the tables were restored from a backup, or emptied; what was erased is erased again", "erasure", e.ID, "tenant", e.Tenant)
			e.State = db.ErasureDeleting
			e.Report.Again++
		case !heldBy(e, ends) && j.Now().Sub(e.Finished) > j.Keep:
			if err := j.Tables.Forget(ctx, e.ID); err != nil {
				return nil, err
			}
			e.Listed = false
		default:
			continue
		}
		if open[i], err = j.Ledger.SaveErasure(ctx, e); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// heldBy tells whether the log may still hold what was erased.
func heldBy(e db.Erasure, log Ends) bool {
	if e.Generation != log.Generation {
		return false
	}
	for p, end := range e.Ends {
		if log.Oldest[p] < end {
			return true
		}
	}
	return false
}
