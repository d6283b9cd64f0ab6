package rollup_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/retention"
	"github.com/metricstream/metricstream/store/rollup"
)

const day = 24 * hour

// agingWorld is a world on ClickHouse in which a janitor works.
type agingWorld struct {
	*world
	conn     ch.Conn
	policies *retention.Policies
}

// newAging returns an empty world in a database of its own.
func newAging(t *testing.T, dsn, database string, p retention.Policy) *agingWorld {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	w := &agingWorld{world: &world{T: t}}
	w.keep(p)
	history := func(tenant string, now time.Time) []retention.Past { return w.policies.History(tenant, now) }
	s, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{History: history})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	o, err := ch.ParseDSN(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if w.conn, err = ch.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.conn.Close() })
	w.tables = s
	return w
}

// keep changes the policy.
func (w *agingWorld) keep(p retention.Policy) {
	w.policies = retention.NewPolicies(retention.Config{Policy: p})
}

// put writes a sample of a series every stepMs in a time.
func (w *agingWorld) put(name string, fromMs, toMs, stepMs int64) {
	w.Helper()
	ls := labels.FromStrings("__name__", "m", "name", name)
	d := store.SeriesData{}
	for at := fromMs; at <= toMs; at += stepMs {
		d.TimesMs, d.Values = append(d.TimesMs, at), append(d.Values, float64(at%977))
	}
	var b store.Batch
	addSeries(&b, ls, &d)
	if err := w.tables.Write(context.Background(), &b); err != nil {
		w.Fatal(err)
	}
	w.nowMs = time.Now().Add(time.Minute).UnixMilli()
}

// sweep lets the janitor look, a time after the series began.
func (w *agingWorld) sweep(after int64) {
	w.Helper()
	now := func() time.Time { return time.UnixMilli(beginMs + after) }
	j := retention.NewJanitor(w.policies, w.tables.(*clickhouse.Store), retention.Options{Now: now})
	if err := j.Sweep(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// settle lets the time pass for which raw is kept after it was written into.
func (w *agingWorld) settle() {
	w.Helper()
	for _, statement := range []string{"OPTIMIZE TABLE rollup_marks FINAL", "ALTER TABLE rollup_marks DELETE WHERE cleared = 1 SETTINGS mutations_sync = 1"} {
		if err := w.conn.Exec(context.Background(), statement); err != nil {
			w.Fatal(err)
		}
	}
}

// rawRows counts the rows of raw.
func (w *agingWorld) rawRows() (n uint64) {
	w.Helper()
	if err := w.conn.QueryRow(context.Background(), "SELECT count() FROM samples").Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

// inHours returns of how many samples the rows of hours know, by series.
func (w *agingWorld) inHours() map[string]uint32 {
	w.Helper()
	out := map[string]uint32{}
	sel := selection(rollup.Hour, rollup.Span{})
	sel.MinMs, sel.MaxMs = beginMs, beginMs+day
	if err := w.tables.SelectRollups(context.Background(), sel, func(s *rollup.Series) error {
		for _, n := range s.Rows.N {
			out[s.Labels.Get("name")] += n
		}
		return nil
	}); err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *agingWorld) want(when string, want map[string]uint32) {
	w.Helper()
	if diff := cmp.Diff(want, w.inHours()); diff != "" {
		w.Errorf("%s: samples in the rows of hours (-want +got):\n%s", when, diff)
	}
}

// verifyTwo compares the first two hours with raw.
func (w *agingWorld) verifyTwo() {
	w.Helper()
	for _, end := range []int64{beginMs + hour, beginMs + 2*hour} {
		closed, err := rollup.Verify(context.Background(), w.tables, end, func(d rollup.Difference) { w.Errorf("%s", d) })
		if err != nil || !closed {
			w.Errorf("the hour is closed: %v, %v", closed, err)
		}
	}
}

// covers tells whether a tier has the second hour.
func (w *agingWorld) covers(tier rollup.Tier) bool {
	w.Helper()
	for _, c := range w.coverage(tier) {
		if c.FromMs <= beginMs+hour && c.ToMs >= beginMs+2*hour {
			return true
		}
	}
	return false
}

const days = model.Duration(24 * time.Hour)

// TestNothingOldIsLost: samples that come when their time is over get into the rows, whatever happens meanwhile, before raw
// goes; and rows that know of samples that are gone stay.
func TestNothingOldIsLost(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "old", retention.Policy{Raw: days, Minute: 2 * days, Hour: 365 * days})
	first, second := int64(beginMs+1), int64(beginMs+2*hour)
	w.put("a", first, second, 10_000)
	if err := w.downsampler(&failing{tables: w.tables, at: 4}).Cycle(context.Background()); err == nil {
		t.Fatal("the fold did not fail")
	}
	w.sweep(40 * day)
	if w.rawRows() != 720 {
		t.Fatal("samples of hours that are not folded are gone")
	}
	w.cycle()
	w.want("after a fold that failed", map[string]uint32{"a": 720})
	w.verifyTwo()

	w.sweep(40 * day)
	w.put("b", first, first+30*minute, 10_000)
	w.cycle()
	w.want("after another series came", map[string]uint32{"a": 720, "b": 181})
	w.sweep(40 * day)
	w.put("b", first+30*minute+10_000, second, 10_000)
	w.cycle()
	w.want("after the rest of it came", map[string]uint32{"a": 720, "b": 720})

	w.settle()
	w.sweep(40 * day)
	if n := w.rawRows(); n != 0 {
		t.Fatalf("%d samples are left whose time is over", n)
	}
	w.put("a", first+5, first+5, 1)
	w.put("c", first, second, 10_000)
	if !w.covers(rollup.Hour) {
		t.Error("rows are not believed while they are folded again, though raw is gone")
	}
	w.cycle()
	w.want("after samples came of a time whose raw is gone", map[string]uint32{"a": 720, "b": 720, "c": 720})
	if !w.covers(rollup.Hour) || w.covers(rollup.Minute) {
		t.Errorf("hours: %v, minutes: %v", w.coverage(rollup.Hour), w.coverage(rollup.Minute))
	}
	w.verifyTwo() // of what can be compared
	if err := w.conn.Exec(context.Background(), "TRUNCATE TABLE samples"); err != nil {
		t.Fatal(err)
	}
	none := &failing{tables: w.tables, at: 1, after: true}
	if err := w.downsampler(none).FoldHours(context.Background(), rollup.Span{FromMs: beginMs, ToMs: beginMs + 2*hour}, func(int64) {}); err != nil || none.calls > 0 {
		t.Errorf("hours without raw are folded by hand: %d steps, %v", none.calls, err)
	}
	if raw := w.coverage(rollup.Raw)[0]; raw.FromMs < beginMs+day {
		t.Errorf("raw is complete from %d, where most of it is gone", raw.FromMs)
	}
}

// TestLateOnTheLastDay: a sample that comes while raw of its day is there still is in the rows, though its time is over.
func TestLateOnTheLastDay(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "lastday", retention.Policy{Raw: days, Minute: 2 * days, Hour: 365 * days})
	w.put("a", beginMs+1, beginMs+2*hour, 10_000)
	w.cycle()
	if c := w.coverage(rollup.Hour); len(c) == 0 || c[0].FromMs != beginMs {
		t.Errorf("hours begin before the first sample came: %v", c)
	}
	w.settle()
	w.sweep(2*day - minute)
	w.put("a", beginMs+7, beginMs+7, 1)
	w.cycle()
	w.verifyTwo()
	w.want("on the last day", map[string]uint32{"a": 721})
}

// TestTierThatIsSwitchedOnLate: hours that have lost samples do not get the rows of a tier, and nobody tries for ever.
func TestTierThatIsSwitchedOnLate(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "switched", retention.Policy{Raw: days, Minute: 30 * days})
	w.put("dense", beginMs+1, beginMs+2*hour, 5_000)
	w.put("sparse", beginMs+1, beginMs+2*hour, 60_000)
	fold := func(tables rollup.Tables, tiers rollup.Tiers) {
		t.Helper()
		d := rollup.NewDownsampler(rollup.Config{MinSamples: 6}, rollup.Options{Tables: tables, Tiers: tiers, Now: func() int64 { return w.nowMs }})
		if err := d.Cycle(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	fold(w.tables, rollup.Minute.Set())
	w.settle()
	w.sweep(3 * day)
	w.put("sparse", beginMs+11*hour, beginMs+11*hour, 1) // the day has raw
	w.keep(retention.Policy{Raw: days, Minute: 30 * days, Hour: 365 * days})
	for range 2 {
		fold(w.tables, rollup.Minute.Set()|rollup.Hour.Set())
	}
	if w.covers(rollup.Hour) || !w.covers(rollup.Minute) {
		t.Errorf("hours: %v, minutes: %v", w.coverage(rollup.Hour), w.coverage(rollup.Minute))
	}
	calls := &failing{tables: w.tables, at: -1}
	fold(calls, rollup.Minute.Set()|rollup.Hour.Set())
	if calls.calls > 0 {
		t.Errorf("%d steps of folds that can change nothing", calls.calls)
	}
}

// TestTierThatIsOff: a tier that a policy does not keep, or did not keep for a time, is not taken for complete.
func TestTierThatIsOff(t *testing.T) {
	all := retention.Policy{Raw: 7 * days, Minute: 30 * days, Hour: 365 * days}
	off := all
	off.Minute = 0
	w := newAging(t, testenv.StartEngine(t), "off", all)
	w.put("dense", beginMs+1, beginMs+2*hour, 5_000)
	w.put("dense", beginMs+3*day+1, beginMs+3*day+2*hour, 5_000)
	w.cycle()
	w.settle()
	if !w.covers(rollup.Minute) {
		t.Fatalf("minutes: %v", w.coverage(rollup.Minute))
	}
	w.keep(off)
	if c := w.coverage(rollup.Minute); len(c) > 0 {
		t.Errorf("minutes that are off: %v", c)
	}
	w.sweep(day + hour) // of the second day nothing is over
	w.keep(all)
	if w.covers(rollup.Minute) || !w.covers(rollup.Hour) {
		t.Errorf("hours: %v, minutes: %v", w.coverage(rollup.Hour), w.coverage(rollup.Minute))
	}
	if c := w.coverage(rollup.Minute); len(c) == 0 || c[0].FromMs != beginMs+day {
		t.Errorf("minutes that were not dropped: %v", c)
	}
	if raw := w.coverage(rollup.Raw)[0]; raw.FromMs > beginMs {
		t.Errorf("raw is complete from %d only", raw.FromMs)
	}
	w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs, ToMs: beginMs + 4*day})
}

// TestErasedInPart: a series that is sparse in an hour after some of its samples were erased is answered from raw.
func TestErasedInPart(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "erased", retention.Policy{Raw: 7 * days, Minute: 30 * days, Hour: 365 * days})
	ctx := context.Background()
	w.put("a", beginMs+1, beginMs+2*hour, 10_000)
	w.cycle()
	e := w.tables.(*clickhouse.Store).Eraser()
	key := store.KeyOf(store.DefaultTenant, labels.FromStrings("__name__", "m", "name", "a"))
	for _, err := range []error{
		e.Prepare(ctx, "ab"), e.AddKeys(ctx, "ab", []store.Key{key}),
		e.DeletePoints(ctx, "ab", list.Range{MinMs: beginMs + 30*minute + 20_000, MaxMs: beginMs + hour}, func(string, int, int) error { return nil }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.nowMs = time.Now().Add(time.Minute).UnixMilli()
	w.cycle()
	w.verifyTwo()
	if !w.covers(rollup.Minute) {
		t.Errorf("minutes: %v", w.coverage(rollup.Minute))
	}
	w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs, ToMs: beginMs + 2*hour})
	w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs + 20*minute, ToMs: beginMs + 40*minute})
	w.want("after half of an hour was erased", map[string]uint32{"a": 182 + 360})
}

// TestThinningKeepsWhatRowsCannotSay: samples stay of which the rows say that they need them.
func TestThinningKeepsWhatRowsCannotSay(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "thin", retention.Policy{Raw: days, Minute: 30 * days, Hour: 365 * days})
	w.put("a", beginMs+1, beginMs+2*hour, 5_000)
	var b store.Batch
	huge, _ := store.DecimalOf(1e200, 0)
	b.Samples.Append(store.KeyOf(store.DefaultTenant, labels.FromStrings("__name__", "m", "name", "a")), beginMs+hour+7, huge)
	if err := w.tables.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	w.cycle()
	w.settle()
	w.sweep(3 * day)
	if n := w.rawRows(); n != 721 {
		t.Errorf("%d samples are left, want those of the hour with the huge one", n)
	}
}

// TestBackfill: old data that comes series by series and day by day is folded as it comes: after each day its hours are closed,
// those before it stay so, and rows are what raw makes of all that has come.
func TestBackfill(t *testing.T) {
	w := newAging(t, testenv.StartEngine(t), "backfill", retention.Policy{Raw: 3650 * days, Minute: 3650 * days, Hour: 3650 * days})
	const all = 8
	closed := func(until int64) {
		t.Helper()
		c := w.coverage(rollup.Hour)
		if len(c) != 1 || c[0].FromMs > beginMs || c[0].ToMs < beginMs+until {
			t.Errorf("closed until %dh are %v", until/hour, c)
		}
	}
	for i, name := range []string{"dense", "sparse"} {
		stepMs := []int64{10_000, 5 * minute}[i]
		for d := range int64(all) {
			w.put(name, beginMs+d*day+1, beginMs+(d+1)*day, stepMs)
			w.cycle()
			closed((d + 1) * day)
		}
		closed(all * day)
	}
	for _, end := range []int64{beginMs + hour, beginMs + 3*day, beginMs + 5*day + 7*hour, beginMs + all*day} {
		ok, err := rollup.Verify(context.Background(), w.tables, end, func(d rollup.Difference) { t.Error(d) })
		if err != nil || !ok {
			t.Errorf("hour %d is closed: %v, %v", (end-beginMs)/hour, ok, err)
		}
	}
	read := w.stitched(rollup.Hour, rollup.Span{FromMs: beginMs, ToMs: beginMs + all*day})
	if read.Samples != 0 || read.Rows != 2*all*24 {
		t.Errorf("read %+v where the tier has all", read)
	}
	w.stitched(rollup.Minute, rollup.Span{FromMs: beginMs + 2*day + 90*minute, ToMs: beginMs + 4*day + 17*minute})
}
