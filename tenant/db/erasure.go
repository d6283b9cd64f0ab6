package db

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// The states of an erasure, in their order.
const (
	// ErasureRequested is one that nobody has begun.
	ErasureRequested = "requested"
	// ErasureWaiting waits until what the log has is in the tables.
	ErasureWaiting = "waiting"
	// ErasureDeleting has a list of its series and removes their points.
	ErasureDeleting = "deleting"
	// ErasureCleaning removes the series of which nothing is left.
	ErasureCleaning = "cleaning"
	// ErasureDone is over, and ErasureFailed cannot be done.
	ErasureDone   = "done"
	ErasureFailed = "failed"
)

// ErasureStates are all of them.
func ErasureStates() []string {
	return []string{ErasureRequested, ErasureWaiting, ErasureDeleting, ErasureCleaning, ErasureDone, ErasureFailed}
}

// Erasure is a request to erase data and how far it is.
type Erasure struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`

	// Selectors choose series, each of them. Without any the erasure is of all that the tenant has, and of the tenant.
	Selectors []string `json:"selectors"`

	// Start and End bound the time, both included; zero is no bound.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`

	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
	Created time.Time `json:"created"`
	State   string    `json:"state"`

	// Progress says in words what is being done.
	Progress string         `json:"progress,omitempty"`
	Report   *ErasureReport `json:"report,omitempty"`
	Failure  string         `json:"failure,omitempty"`
	Finished time.Time      `json:"finished,omitzero"`
	Families []string       `json:"-"`
	Topic    string         `json:"-"`
	// Generation, Ends and Noted say where the log ended when the erasure began.
	Generation string          `json:"-"`
	Ends       map[int32]int64 `json:"-"`
	Noted      time.Time       `json:"-"`

	// Listed says that readers of the log have to leave out what is erased.
	Listed   bool  `json:"-"`
	Revision int64 `json:"-"`
}

// ErasureReport is what an erasure found and left.
type ErasureReport struct {
	// Series counts the series that the selectors chose, and Gone those of them of which nothing is left.
	Series uint64 `json:"series"`
	Gone   uint64 `json:"gone"`

	Tables []ErasedTable `json:"tables"`

	// Again counts how often all of it was done again, on tables that were restored from a backup.
	Again int `json:"again,omitempty"`
}

// ErasedTable is what an erasure found and left in a table. Rows that were written again after the request may be among
// those that are left.
type ErasedTable struct {
	Table  string `json:"table"`
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`

	// Query counts the rows for whoever wants to see it.
	Query string `json:"query"`
}

// Whole tells whether an erasure is of all that a tenant has, and of the tenant.
func (e *Erasure) Whole() bool { return len(e.Selectors) == 0 }

// Unfinished tells whether something is left to do.
func (e *Erasure) Unfinished() bool { return e.State != ErasureDone && e.State != ErasureFailed }

// Matchers are those of the selectors.
func (e *Erasure) Matchers() ([][]*labels.Matcher, error) {
	all := make([][]*labels.Matcher, len(e.Selectors))
	for i, s := range e.Selectors {
		ms, err := parseSelector(s)
		if err != nil {
			return nil, store.Invalidf("the selector %q: %w", s, err)
		}
		all[i] = ms
	}
	return all, nil
}

const (
	maxSelectors  = 100
	maxReason     = 2000
	maxUnfinished = 1000
)

// check refuses what cannot be asked for.
func (e *Erasure) check() error {
	switch {
	case len(e.Selectors) == 0:
		return store.Invalidf("selectors: are empty; name the series, or delete the tenant")
	case len(e.Selectors) > maxSelectors:
		return store.Invalidf("selectors: has %d entries, at most %d are allowed", len(e.Selectors), maxSelectors)
	case e.Range().MinMs > e.Range().MaxMs:
		return store.Invalidf("start: is after the end")
	case len(e.Reason) > maxReason:
		return store.Invalidf("reason: has %d bytes, at most %d are allowed", len(e.Reason), maxReason)
	}
	for _, s := range e.Selectors {
		if s == "" {
			return store.Invalidf("selectors: one is empty")
		}
	}
	_, err := e.Matchers()
	return err
}

// Range is the time that the erasure is about.
func (e *Erasure) Range() list.Range {
	r := list.All()
	if !e.Start.IsZero() {
		r.MinMs = e.Start.UnixMilli()
	}
	if !e.End.IsZero() {
		r.MaxMs = e.End.UnixMilli()
	}
	return r
}

// bounded leaves out bounds that no time in JSON can have; nothing lies behind them.
func bounded(t time.Time) time.Time {
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// erasureRequest is what is asked for, as it is stored.
type erasureRequest struct {
	Selectors []string  `json:"selectors"`
	Start     time.Time `json:"start,omitzero"`
	End       time.Time `json:"end,omitzero"`
	Reason    string    `json:"reason"`
}

const erasureColumns = "id, tenant, request, actor, created_ms, state, revision, topic, generation, ends, noted_ms, progress, report, families, failure, finished_ms, listed"

func scanErasure(r row) (Erasure, error) {
	var e Erasure
	var request, ends, report, families string
	var created, noted, finished int64
	var listed int
	err := r.Scan(&e.ID, &e.Tenant, &request, &e.Actor, &created, &e.State, &e.Revision, &e.Topic, &e.Generation, &ends, &noted, &e.Progress, &report, &families, &e.Failure, &finished, &listed)
	if err != nil {
		return e, err
	}
	e.Created, e.Noted, e.Finished, e.Listed = timeOf(created), timeOf(noted), timeOf(finished), listed != 0
	var asked erasureRequest
	for _, part := range []struct {
		text string
		to   any
	}{{request, &asked}, {ends, &e.Ends}, {report, &e.Report}, {families, &e.Families}} {
		if err := json.Unmarshal([]byte(part.text), part.to); err != nil {
			return e, fmt.Errorf("the erasure %s is damaged: %w", e.ID, err)
		}
	}
	e.Selectors, e.Start, e.End, e.Reason = asked.Selectors, asked.Start, asked.End, asked.Reason
	return e, nil
}

// values are those of erasureColumns.
func (e *Erasure) values() []any {
	listed := 0
	if e.Listed {
		listed = 1
	}
	return []any{
		e.ID, e.Tenant, string(encode(erasureRequest{e.Selectors, e.Start, e.End, e.Reason})), e.Actor, msOf(e.Created), e.State, e.Revision,
		e.Topic, e.Generation, string(encode(e.Ends)), msOf(e.Noted), e.Progress, string(encode(e.Report)), string(encode(e.Families)), e.Failure, msOf(e.Finished), listed,
	}
}
