package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/erasure/list"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
	"github.com/metricstream/metricstream/store/rollup"
)

// erasable are the tables that an erasure may change.
var erasable = []string{"samples", "histograms", "exemplars", "starts", "rollup_1m", "rollup_1h", "rollup_histograms_1m", "rollup_histograms_1h", "series", "postings"}

// eraseBegin is the first of the days that erasable data are of.
const eraseBegin = int64(20_000 * dayMs)

// fillErasable writes two and a half hours at the begin of each of three days, of look-alike series with everything that
// series can have, and folds them.
func fillErasable(t testing.TB, s *clickhouse.Store, sets ...labels.Labels) []store.Key {
	t.Helper()
	b := &store.Batch{}
	var keys []store.Key
	for i, ls := range sets {
		k := store.KeyOf("a", ls)
		keys = append(keys, k)
		b.Series = append(b.Series, store.Series{Tenant: "a", Key: k, Labels: ls, MinMs: eraseBegin, MaxMs: eraseBegin + 3*dayMs, Has: store.HasHistograms | store.HasStarts})
		for day := range int64(3) {
			b.Starts = append(b.Starts, store.Start{Key: k, TimeMs: eraseBegin + day*dayMs + 5000, StartMs: eraseBegin + day*dayMs})
			for at := eraseBegin + day*dayMs + 5000; at < eraseBegin+day*dayMs+9_000_000; at += 10_000 {
				if at%dayMs >= 3_600_000 && at%dayMs < 7_201_000 {
					h := &histogram.Histogram{Count: uint64(at % 1000), Sum: float64(i)}
					b.Histograms = append(b.Histograms, store.Histogram{Key: k, TimeMs: at, Count: float64(h.Count), Sum: h.Sum, Blob: store.AppendHistogram(nil, h)})
					continue
				}
				b.Samples.Append(k, at, store.Decimal{Mant: at + int64(i)})
			}
			b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: eraseBegin + day*dayMs + 5000, Value: float64(i), Labels: labels.FromStrings("trace", "x")})
		}
		b.Metadata = append(b.Metadata, store.Metadata{Tenant: "a", Name: strings.TrimSuffix(ls.Get("__name__"), "_total"), Help: "of a"})
	}
	b.Metadata = append(b.Metadata, store.Metadata{Tenant: "b", Name: "lonely", Help: "of b"})
	write(t, s, b)
	d := rollup.NewDownsampler(rollup.Config{MinSamples: 1}, rollup.Options{Tables: s.Tiers("topic", "")})
	for day := range int64(3) {
		if err := d.FoldHours(t.Context(), rollup.Span{FromMs: eraseBegin + day*dayMs, ToMs: eraseBegin + day*dayMs + 3*3_600_000}, func(int64) {}); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// sums returns a sum over all rows of the tables that a condition chooses, one for each table.
func sums(t testing.TB, s *clickhouse.Store, condition string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range erasable {
		var n, sum uint64
		if err := s.Scan(context.Background(), "SELECT count(), groupBitXor(cityHash64(*)) FROM "+table+" FINAL WHERE "+condition, &n, &sum); err != nil {
			t.Fatal(err)
		}
		out[table] = fmt.Sprintf("%d rows, %x", n, sum)
	}
	return out
}

func of(keys ...store.Key) string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, fmt.Sprintf("(%d, %d)", k.Metric, k.ID))
	}
	return "(metric, id) IN (" + strings.Join(ids, ", ") + ")"
}

// erase does what the job does.
func erase(t testing.TB, e *clickhouse.Eraser, id string, r list.Range, selectors ...*labels.Matcher) []list.TableCount {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(e.Prepare(ctx, id))
	must(e.Find(ctx, "a", [][]*labels.Matcher{selectors}, r, func(keys []store.Key) error { return e.AddKeys(ctx, id, keys) }))
	before, err := e.Count(ctx, id, r)
	must(err)
	must(e.DeletePoints(ctx, id, r, func(string, int, int) error { return nil }))
	must(e.SetApplied(ctx, id))
	must(e.Gone(ctx, id, func(keys []store.Key) error { return e.AddGone(ctx, id, keys) }))
	families, err := e.Families(ctx, id, "a")
	must(err)
	must(e.AddFamilies(ctx, id, "a", families))
	must(e.DeleteSeries(ctx, id))
	return before
}

// TestErase erases one of two look-alike series, a lonely one, and a part of the time of another: of these nothing is left,
// and everything else is as before.
func TestErase(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	set := func(more ...string) labels.Labels { return labels.FromStrings(append(more, "job", "j")...) }
	keys := fillErasable(t, s, set("__name__", "twin_total", "i", "1"), set("__name__", "twin_total", "i", "2"), set("__name__", "lonely"), set("__name__", "part", "i", "1"), set("__name__", "part", "i", "2"))
	first, second, lonely, part, whole := keys[0], keys[1], keys[2], keys[3], keys[4]
	neighbours := of(second, whole)
	before := sums(t, s, neighbours)
	e := s.Eraser()
	if applied, err := e.Applied(ctx); err != nil || len(applied) != 0 {
		t.Errorf("%v, %v", applied, err)
	}

	m := labels.MustNewMatcher
	counts := erase(t, e, "1a", list.All(), m(labels.MatchRegexp, "__name__", "twin.*|lonely"), m(labels.MatchNotEqual, "i", "2"))
	for _, c := range counts {
		if c.Rows == 0 {
			t.Errorf("before, %s has no rows", c.Table)
		}
	}
	gone := sums(t, s, of(first, lonely))
	for table, sum := range gone {
		if sum != "0 rows, 0" {
			t.Errorf("%s has %s of what was erased", table, sum)
		}
	}
	after, err := e.Count(ctx, "1a", list.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range after {
		var n uint64
		if err := s.Scan(ctx, c.Query, &n); err != nil || n != 0 || c.Rows != 0 {
			t.Errorf("%s has %d rows, or %d, %v", c.Table, c.Rows, n, err)
		}
	}
	for tenant, want := range map[string][]string{"a": {"part", "twin"}, "b": {"lonely"}} {
		all, err := s.Metadata(ctx, tenant, "")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range all {
			names = append(names, m.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("metadata of %s: %v, want %v", tenant, names, want)
		}
	}
	if diff := cmp.Diff(before, sums(t, s, neighbours)); diff != "" {
		t.Errorf("the neighbours changed: %s", diff)
	}

	// From the second day's 00:10:05 to the third day's 01:00:05.
	r := list.Range{MinMs: eraseBegin + dayMs + 605_000, MaxMs: eraseBegin + 2*dayMs + 3_605_000}
	erase(t, e, "2b", r, m(labels.MatchEqual, "__name__", "part"), m(labels.MatchEqual, "i", "1"))
	for _, table := range erasable[:3] {
		var inside, outside uint64
		if err := s.Scan(ctx, fmt.Sprintf("SELECT countIf(ts BETWEEN %[1]d AND %[2]d), countIf(ts NOT BETWEEN %[1]d AND %[2]d) FROM %[3]s WHERE %[4]s", r.MinMs, r.MaxMs, table, of(part)), &inside, &outside); err != nil {
			t.Fatal(err)
		}
		if inside != 0 || outside == 0 {
			t.Errorf("%s: %d rows inside, %d outside", table, inside, outside)
		}
	}
	var times string
	if err := s.Scan(ctx, fmt.Sprintf("SELECT toString(groupArray((ts - %d, start - %d))) FROM (SELECT * FROM starts WHERE %s ORDER BY ts)", eraseBegin, eraseBegin, of(part)), &times); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("[(5000,0),(%d,%d),(%d,%d)]", dayMs+5000, dayMs, r.MaxMs+1-eraseBegin, 2*dayMs); times != want {
		t.Errorf("starts are %s, want %s", times, want)
	}
	// What is left of the hours at the ends is folded again, and the tiers are what raw makes of them.
	d := rollup.NewDownsampler(rollup.Config{MinSamples: 1}, rollup.Options{Tables: s.Tiers("topic", "")})
	marks, err := s.Marks(ctx, 100)
	if err != nil || len(marks) == 0 {
		t.Fatalf("%v, %v", marks, err)
	}
	if err := d.FoldHours(ctx, rollup.Span{FromMs: r.MinMs - 3_600_000, ToMs: r.MaxMs + 3_600_000}, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	verified := 0
	for day := range int64(3) {
		for hour := int64(1); hour <= 3; hour++ {
			closed, err := rollup.Verify(ctx, s, eraseBegin+day*dayMs+hour*3_600_000, func(d rollup.Difference) { t.Error(d) })
			if err != nil {
				t.Fatal(err)
			}
			if closed {
				verified++
			}
		}
	}
	if verified != 9 {
		t.Errorf("%d hours are closed", verified)
	}
	if got := sums(t, s, of(part))["rollup_1m"]; strings.HasPrefix(got, "0 ") {
		t.Error("the minutes of the rest are gone")
	}
	got := sums(t, s, neighbours)
	for _, table := range erasable {
		if !strings.HasPrefix(table, "rollup") && got[table] != before[table] { // rows of tiers that were folded again have another version
			t.Errorf("the neighbours in %s changed from %s to %s", table, before[table], got[table])
		}
	}
	if applied, err := e.Applied(ctx); err != nil || !applied["1a"] || !applied["2b"] || len(applied) != 2 {
		t.Errorf("%v, %v", applied, err)
	}
	if err := e.Forget(ctx, "1a"); err != nil {
		t.Fatal(err)
	}
	if applied, err := e.Applied(ctx); err != nil || applied["1a"] || !applied["2b"] {
		t.Errorf("%v, %v", applied, err)
	}
	if err := e.Prepare(ctx, "'x"); store.KindOf(err) != store.KindInvalid {
		t.Errorf("a name with a quote: %v", err)
	}
}

// TestEraseInAShadow: what was replayed beside the live tables is erased too, and what a swap has put away.
func TestEraseInAShadow(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	shadow, err := s.CreateShadow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shadow.Drop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := shadow.Close(); err != nil {
			t.Error(err)
		}
	})
	one, two := labels.FromStrings("__name__", "m", "i", "1"), labels.FromStrings("__name__", "m", "i", "2")
	fillErasable(t, shadow.Store(), one, two)
	keys := fillErasable(t, s, one, two)
	kept := "`" + shadow.Name() + "`.replaced_samples"
	for _, statement := range []string{"CREATE TABLE " + kept + " AS samples", "INSERT INTO " + kept + " SELECT metric, id, ts, exp, mant, class FROM samples"} {
		if err := s.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	before := sums(t, shadow.Store(), of(keys[1]))
	erase(t, s.Eraser(), "3c", list.All(), labels.MustNewMatcher(labels.MatchEqual, "i", "1"))
	for table, sum := range sums(t, shadow.Store(), of(keys[0])) {
		if sum != "0 rows, 0" {
			t.Errorf("the shadow's %s has %s", table, sum)
		}
	}
	if diff := cmp.Diff(before, sums(t, shadow.Store(), of(keys[1]))); diff != "" {
		t.Errorf("the neighbour changed: %s", diff)
	}
	var erased, stayed uint64
	if err := s.Scan(ctx, fmt.Sprintf("SELECT countIf(%[1]s), countIf(NOT %[1]s) FROM %[2]s", of(keys[0]), kept), &erased, &stayed); err != nil || erased != 0 || stayed == 0 {
		t.Errorf("%d and %d rows, %v", erased, stayed, err)
	}
}
