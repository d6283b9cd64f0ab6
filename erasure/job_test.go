package erasure

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// The series of a world: those of metric 1 are asked for.
var whole, part, beside = store.Key{Metric: 1, ID: 1}, store.Key{Metric: 1, ID: 2}, store.Key{Metric: 2, ID: 3}

// filled is a world with an erasure of the times 10 to 20.
func filled() *world {
	w := newWorld()
	w.write(whole, 10, 20)
	w.write(part, 9, 10, 20, 21)
	w.write(beside, 10)
	w.metadata = map[string]bool{"one": true, "two": true}
	w.erasures["a"] = db.Erasure{ID: "a", Tenant: "t", Selectors: []string{"x"}, Start: time.UnixMilli(10), End: time.UnixMilli(20), State: db.ErasureRequested, Created: time.Now()}
	return w
}

// job returns the job of a world.
func (w *world) job(r prometheus.Registerer) *Job {
	return NewJob(Options{Ledger: w, Tables: w, Log: w, Answers: w.answers, Owner: func() bool { return true }, Keep: time.Hour, Registerer: r})
}

// runFor runs jobs for some time of the bubble's clock.
func runFor(t *testing.T, d time.Duration, jobs ...*Job) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for _, j := range jobs {
		go func() {
			if err := j.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
	}
	<-ctx.Done()
	synctest.Wait()
}

func (w *world) check(t *testing.T, when string) {
	t.Helper()
	e := w.erasures["a"]
	if e.State != db.ErasureDone || !e.Listed || e.Report.Series != 2 || e.Report.Gone != 1 || len(e.Report.Tables) != 2 || e.Report.Tables[0].Before != 5 || e.Report.Tables[1].Before != 1 || e.Report.Tables[1].After != 0 {
		t.Fatalf("%s: %+v %+v", when, e, e.Report)
	}
	want := map[store.Key]map[int64]bool{whole: {}, part: {9: true, 21: true, 15: true}, beside: {10: true}}
	if diff := cmp.Diff(want, w.points); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
	if diff := cmp.Diff(map[store.Key]bool{part: true, beside: true}, w.series); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
	if diff := cmp.Diff(map[string]bool{"two": true}, w.metadata); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
	if w.changed < 2 || w.forgotten < 1 || !w.applied["a"] {
		t.Errorf("%s: told %d times, answers forgotten %d times, applied %v", when, w.changed, w.forgotten, w.applied)
	}
}

// comeLater lets a sample into the log and the tables behind the noted ends.
func (w *world) comeLater() {
	w.ends.Next[0] = 11
	w.later = []point{{part, 15}}
	w.write(part, 15)
}

// TestEveryCallFailsOnce fails each call that the job makes, before and after it has done what it does.
func TestEveryCallFailsOnce(t *testing.T) {
	for _, after := range []bool{false, true} {
		for failAt := 0; ; failAt++ {
			calls := 0
			synctest.Test(t, func(t *testing.T) {
				w := filled()
				w.failAt, w.after = failAt, after
				w.onWait = func() { w.comeLater(); w.onWait = nil }
				runFor(t, 10*time.Minute, w.job(nil))
				w.check(t, fmt.Sprintf("call %d, %v", failAt, after))
				calls = w.calls
			})
			if t.Failed() {
				return
			}
			if failAt >= 60 || failAt > calls {
				break
			}
		}
	}
}

// TestTwoJobs do no harm to each other.
func TestTwoJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.onWait = func() { w.comeLater(); w.onWait = nil }
		first, second := w.job(nil), w.job(nil)
		// One is stopped after a step, and goes on when the other has ended.
		e := w.erasures["a"]
		noted, err := first.advance(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		runFor(t, time.Minute, second)
		w.check(t, "by one")
		if _, err := first.advance(t.Context(), noted); err == nil || !strings.Contains(err.Error(), db.ErrFenced.Error()) {
			t.Errorf("the other one: %v", err)
		}
		if w.erasures["a"].State != db.ErasureDone {
			t.Errorf("%+v", w.erasures["a"])
		}
	})
}

// TestItWaitsForTheTables until they have what was in the log.
func TestItWaitsForTheTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.written[0] = 9
		runFor(t, time.Minute, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureWaiting || !strings.Contains(e.Progress, "1 records") || len(w.points[whole]) != 2 {
			t.Errorf("%+v", e)
		}
		registry := prometheus.NewRegistry()
		if _, err := NewSource(w, "t", db.Reader{}, registry).Erasures(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "# HELP metricstream_erasure_oldest_unfinished_seconds Age of the oldest request to erase data that is not done; 0 without any.\n# TYPE metricstream_erasure_oldest_unfinished_seconds gauge\nmetricstream_erasure_oldest_unfinished_seconds 60\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		w.written[0], w.later = 10, nil
		runFor(t, time.Minute, w.job(nil))
		if w.erasures["a"].State != db.ErasureDone {
			t.Errorf("%+v", w.erasures["a"])
		}
	})
}

// TestAnswersAreAway: what was written meanwhile is there again all the same, and the erasure is not done.
func TestAnswersAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.answersAway = true
		w.onWait = func() { w.comeLater(); w.onWait = nil }
		runFor(t, 10*time.Minute, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureCleaning || !w.points[part][15] || len(w.series) != 2 {
			t.Errorf("%+v, %v", e, w.points)
		}
		w.answersAway = false
		runFor(t, time.Minute, w.job(nil))
		w.check(t, "they are back")
	})
}

// TestItWaitsForReaders that give signs of life until they know the list, and not for those that have ended or are silent.
func TestItWaitsForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.later = nil
		w.readers = map[string]db.Reader{"ended": {ID: "ended", Version: db.ReaderLeft}, "silent": {ID: "silent"}, "alive": {ID: "alive"}}
		version := int64(0) // one gives signs of life, and does not know of the request, then not the list
		w.onReaders = func() {
			w.readers["alive"] = db.Reader{ID: "alive", Version: version, Seen: time.Now().Truncate(lifeEvery)}
		}
		runFor(t, 50*time.Second, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureRequested || e.Ends != nil {
			t.Errorf("%+v", e)
		}
		version = 1
		runFor(t, 50*time.Second, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureDeleting || len(w.points[whole]) != 2 || !strings.Contains(e.Progress, "1 processes") {
			t.Errorf("%+v, %v", e, w.points)
		}
		version = 100
		runFor(t, time.Minute, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureDone {
			t.Errorf("%+v", e)
		}
	})
}

// TestAReaderIsKnownBeforeItReads the list: else nobody would wait for it.
func TestAReaderIsKnownBeforeItReads(t *testing.T) {
	w := filled()
	s := NewSource(w, "t", db.Reader{ID: "r", Consumes: true}, nil)
	w.failAt = 2 // the version of the list
	if _, err := s.Erasures(t.Context()); err == nil || w.readers["r"].ID != "r" || w.readers["r"].Version != 0 {
		t.Errorf("%v, %+v", err, w.readers)
	}
	if all, err := s.Erasures(t.Context()); err != nil || len(all) != 1 || !all[0].Pending {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, settled := range []bool{false, true} {
		if err := s.Report(t.Context(), settled); err != nil || (w.readers["r"].Version > 0) != settled {
			t.Errorf("%v, %v: %+v", settled, err, w.readers)
		}
	}
	if err := s.Leave(t.Context()); err != nil || w.readers["r"].Version != db.ReaderLeft {
		t.Errorf("%v: %+v", err, w.readers)
	}
}

// TestAnotherTopic has nothing of the former one that could be waited for.
func TestAnotherTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.written[0] = 0
		w.onWait = func() { w.ends.Generation = "h"; w.onWait = nil }
		runFor(t, time.Minute, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureDone || e.Generation != "g" {
			t.Errorf("%+v", e)
		}
	})
}

// TestRestoredTables are erased from again; what nobody needs any more leaves the list.
func TestRestoredTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.onWait = func() { w.comeLater(); w.onWait = nil }
		runFor(t, time.Minute, w.job(nil))
		w.check(t, "first")
		w.write(whole, 10)
		w.write(part, 10, 20)
		w.metadata["one"] = true
		w.applied = map[string]bool{}
		runFor(t, time.Minute, w.job(nil))
		w.check(t, "restored")
		if e := w.erasures["a"]; e.Report.Again != 1 {
			t.Errorf("%+v", e.Report)
		}
		w.ends.Oldest[0] = 10
		runFor(t, 30*time.Minute, w.job(nil))
		if !w.erasures["a"].Listed {
			t.Error("a backup may have it")
		}
		w.ends.Oldest[0] = 9
		runFor(t, time.Hour, w.job(nil))
		if !w.erasures["a"].Listed {
			t.Error("the log has it")
		}
		w.ends.Oldest[0] = 10
		runFor(t, time.Minute, w.job(nil))
		if w.erasures["a"].Listed || len(w.chosen) != 0 {
			t.Errorf("%+v", w.erasures["a"])
		}
	})
}

// TestATenant leaves nothing, and nothing of it comes back that was written meanwhile.
func TestATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		e := w.erasures["a"]
		e.Selectors, e.Start, e.End = nil, time.Time{}, time.Time{}
		w.erasures["a"] = e
		w.onWait = func() { w.comeLater(); w.onWait = nil }
		runFor(t, time.Minute, w.job(nil))
		e = w.erasures["a"]
		if e.State != db.ErasureDone || len(w.points[whole])+len(w.points[part]) > 0 || len(w.metadata) > 0 || len(w.series) != 1 {
			t.Errorf("%+v, %v, %v, %v", e, w.points, w.metadata, w.series)
		}
	})
}

// TestATenantGoesOnWriting by way of a receiver that does not hear of its deletion: what comes is erased too, and stays in the
// list beside what was found first.
func TestATenantGoesOnWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		e := w.erasures["a"]
		e.Selectors, e.Start, e.End = nil, time.Time{}, time.Time{}
		w.erasures["a"] = e
		late := []func(){
			func() { w.write(store.Key{Metric: 1, ID: 9}, 15) },
			func() { w.points[whole] = map[int64]bool{16: true} }, // without labels
			func() { w.metadata["three"] = true },
		}
		w.onDelete = func() {
			if len(late) > 0 {
				w.ends.Next[0]++
				w.written[0]++
				late[0]()
				late = late[1:]
			}
		}
		runFor(t, time.Minute, w.job(nil))
		e = w.erasures["a"]
		if e.State != db.ErasureDone || e.Ends[0] != 13 || e.Report.Series != 3 || len(w.points[whole])+len(w.points[store.Key{Metric: 1, ID: 9}]) > 0 || len(w.metadata) > 0 || len(w.series) != 1 {
			t.Errorf("%+v, %v, %v, %v, %v", e, e.Report, w.points, w.metadata, w.series)
		}
		entry := EntryOf(e)
		if err := load(t.Context(), w, &entry); err != nil || !entry.Keys.Has(whole) || !entry.Keys.Has(part) || !entry.Keys.Has(store.Key{Metric: 1, ID: 9}) {
			t.Errorf("%+v, %v", entry, err)
		}
	})
}

// TestNothingChosen is done at once, and needs no list.
func TestNothingChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		w.series = map[store.Key]bool{}
		runFor(t, 3*time.Second, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureDone || e.Listed || e.Report == nil {
			t.Errorf("%+v", e)
		}
	})
}

// TestWhatCannotBeDone ends, as long as nothing is erased.
func TestWhatCannotBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		e := w.erasures["a"]
		e.Selectors = []string{"up{"}
		w.erasures["a"] = e
		runFor(t, time.Minute, w.job(nil))
		if e := w.erasures["a"]; e.State != db.ErasureFailed || e.Failure == "" || e.Listed {
			t.Errorf("%+v", e)
		}
	})
}

// TestOnlyTheOwner works.
func TestOnlyTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := filled()
		j := w.job(nil)
		j.Owner = func() bool { return false }
		runFor(t, time.Minute, j)
		if w.calls != 0 {
			t.Errorf("%d calls", w.calls)
		}
	})
}
