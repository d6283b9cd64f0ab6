package storetest

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

var labelCases = []testCase{
	{"names and values, with and without matchers", namesAndValues},
	{"series of another time are not listed", otherTimes},
	{"nothing is not an error", nothing},
}

func (f *fixture) names(sel store.Selection, want ...string) {
	f.Helper()
	got, err := f.store.LabelNames(f.Context(), sel)
	if err != nil {
		f.Fatalf("cannot read label names: %v", err)
	}
	f.same(fmt.Sprint(want), fmt.Sprint(got))
}

func (f *fixture) values(name string, sel store.Selection, want ...string) {
	f.Helper()
	got, err := f.store.LabelValues(f.Context(), name, sel)
	if err != nil {
		f.Fatalf("cannot read label values: %v", err)
	}
	f.same(fmt.Sprint(want), fmt.Sprint(got))
}

func (f *fixture) with(matchers ...*labels.Matcher) store.Selection {
	sel := f.all()
	sel.Matchers = matchers
	return sel
}

func namesAndValues(f *fixture) {
	f.write(f.batch().sample(metric("up", "job", "b", "z", "1"), baseMs, 1).sample(metric("up", "job", "a"), baseMs, 1).
		histogram(metric("lat", "code", "200", "job", "a"), baseMs, intHistogram(1)).sample(labels.FromStrings("lonely", "x"), baseMs, 1))
	none := f.with()
	f.names(none, "__name__", "code", "job", "lonely", "z")
	f.values("__name__", none, "lat", "up")
	f.values("job", none, "a", "b")
	f.values("absent", none)
	f.values("", none)
	f.names(f.with(eq("__name__", "up")), "__name__", "job", "z")
	f.names(f.with(eq("job", "a")), "__name__", "code", "job")
	f.names(f.with(eq("job", "c")))
	f.names(f.with(eq("job", "")), "lonely")
	f.values("job", f.with(eq("__name__", "lat")), "a")
	f.values("job", f.with(neq("job", "a")), "b")
	f.values("z", f.with(re("job", "a|b"), eq("z", "")))
	f.values("__name__", f.with(eq("job", "a")), "lat", "up")
	f.values("__name__", f.with(eq("lonely", "x")))
	f.values("code", f.with(re("__name__", "l.*"), nre("job", "b")), "200")
}

// otherTimes: what may have a point is known by days, so a series two days away is not listed.
func otherTimes(f *fixture) {
	f.write(f.batch().sample(metric("old", "o", "1"), baseMs-3*dayMs, 1).sample(metric("now", "n", "1"), baseMs+hourMs, 1).
		sample(metric("new", "w", "1"), baseMs+3*dayMs, 1))
	at := f.between(baseMs, baseMs+2*hourMs)
	f.names(at, "__name__", "n")
	f.values("__name__", at, "now")
	f.values("o", at)
	series, err := f.store.Series(f.Context(), at)
	if err != nil {
		f.Fatal(err)
	}
	if len(series) != 1 || series[0].Get("__name__") != "now" {
		f.Errorf("series %v", series)
	}
	at.Matchers = nil
	f.names(at, "__name__", "n")
	f.values("__name__", at, "now")
	f.values("__name__", f.between(baseMs-3*dayMs, baseMs+3*dayMs), "new", "now", "old")
}

func nothing(f *fixture) {
	f.expect(f.all())
	f.names(f.with())
	f.values("job", f.with())
	if series, err := f.store.Series(f.Context(), f.all()); err != nil || len(series) != 0 {
		f.Errorf("series of an empty tenant: %v, %v", series, err)
	}
	if list, err := f.store.Exemplars(f.Context(), f.all()); err != nil || len(list) != 0 {
		f.Errorf("exemplars of an empty tenant: %v, %v", list, err)
	}
	if list, err := f.store.Metadata(f.Context(), f.tenant, ""); err != nil || len(list) != 0 {
		f.Errorf("metadata of an empty tenant: %v, %v", list, err)
	}
	if at, err := f.store.Progress(f.Context(), "unknown-topic", ""); err != nil || len(at) != 0 {
		f.Errorf("progress of an unknown topic: %v, %v", at, err)
	}
}
