package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metricstream/metricstream/store"
)

var otherCases = []testCase{
	{"exemplars in order of time", exemplarsInOrder},
	{"exemplars of the selection only", exemplarsSelected},
	{"a replayed exemplar is seen once", exemplarsReplay},
	{"the latest metadata wins", metadataLatest},
	{"metadata of any kind", metadataAny},
	{"progress", progress},
	{"an empty batch", emptyBatch},
}

// exemplars writes the exemplars of a selection as text.
func (f *fixture) exemplars(sel store.Selection, want ...string) {
	f.Helper()
	list, err := f.store.Exemplars(f.Context(), sel)
	if err != nil {
		f.Fatalf("cannot read exemplars: %v", err)
	}
	f.same(strings.Join(want, "\n"), dumpExemplars(list))
}

// dumpExemplars writes exemplars as text, a line a series, sorted. What is equal in time is sorted by value and labels,
// because a store may return it in any order.
func dumpExemplars(list []store.SeriesExemplars) string {
	var lines []string
	for _, s := range list {
		var points []string
		for i, e := range s.Exemplars {
			points = append(points, fmt.Sprintf(" %d=%s%s", e.TimeMs, formatValue(e.Value), e.Labels))
			if i > 0 && e.TimeMs < s.Exemplars[i-1].TimeMs {
				points = append(points, " OUT OF ORDER")
			}
		}
		slices.Sort(points)
		lines = append(lines, s.Labels.String()+strings.Join(points, ""))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func exemplarsInOrder(f *fixture) {
	f.write(f.batch().exemplar(metric("m"), baseMs+2, 2, "trace_id", "b").exemplar(metric("m"), baseMs+1, -0.5, "trace_id", `it's "a"`))
	f.write(f.batch().exemplar(metric("m"), baseMs, math.Copysign(0, -1)).exemplar(metric("m"), baseMs+3, math.NaN(), "a", "ü", "b", "2"))
	f.exemplars(f.all(), fmt.Sprintf(`{__name__="m"} %d=-0{} %d=-0.5{trace_id="it's \"a\""} %d=2{trace_id="b"} %d=NaN:7ff8000000000001{a="ü", b="2"}`,
		baseMs, baseMs+1, baseMs+2, baseMs+3))
}

func exemplarsSelected(f *fixture) {
	b := f.batch()
	for i := range int64(4) {
		b.exemplar(metric("m", "job", "a"), baseMs+i, float64(i), "i", "x").exemplar(metric("m", "job", "b"), baseMs+i, float64(i), "i", "y")
	}
	b.sample(metric("m", "job", "c"), baseMs, 1)
	f.write(b)
	f.exemplars(f.between(baseMs+1, baseMs+2),
		fmt.Sprintf(`{__name__="m", job="a"} %d=1{i="x"} %d=2{i="x"}`, baseMs+1, baseMs+2),
		fmt.Sprintf(`{__name__="m", job="b"} %d=1{i="y"} %d=2{i="y"}`, baseMs+1, baseMs+2))
	sel := f.between(baseMs+3, baseMs+9)
	sel.Matchers = append(sel.Matchers, re("job", "b|c"))
	f.exemplars(sel, fmt.Sprintf(`{__name__="m", job="b"} %d=3{i="y"}`, baseMs+3))
	f.exemplars(f.between(baseMs-9, baseMs-1))
}

func exemplarsReplay(f *fixture) {
	for range 2 {
		f.write(f.batch().exemplar(metric("m"), baseMs, 1, "id", "a").exemplar(metric("m"), baseMs, 1, "id", "a"))
	}
	f.exemplars(f.all(), fmt.Sprintf(`{__name__="m"} %d=1{id="a"}`, baseMs))
}

func (f *fixture) metadata(name string, want ...store.Metadata) {
	f.Helper()
	got, err := f.store.Metadata(f.Context(), f.tenant, name)
	if err != nil {
		f.Fatalf("cannot read metadata: %v", err)
	}
	for i := range want {
		want[i].Tenant = f.tenant
	}
	f.same(fmt.Sprint(want), fmt.Sprint(got))
}

func metadataLatest(f *fixture) {
	f.write(f.batch().meta("b", "counter", "old", "").meta("a", "gauge", "help", "s"))
	f.write(f.batch().meta("b", "gauge", "new", "bytes"))
	b := store.Metadata{Name: "b", Type: "gauge", Help: "new", Unit: "bytes"}
	f.metadata("", store.Metadata{Name: "a", Type: "gauge", Help: "help", Unit: "s"}, b)
	f.metadata("b", b)
	f.metadata("c")
	for range 2 {
		f.write(f.batch().meta("b", "unknown", "", ""))
	}
	f.metadata("b", store.Metadata{Name: "b", Type: "unknown"})
}

func metadataAny(f *fixture) {
	for _, help := range []string{"it's", `back\slash`, "line\nbreak", "'; DROP TABLE metric_metadata; --", "ü 日本", `{x:String} $1 ?`} {
		f.write(f.batch().meta("m "+help, "stateset", help, help))
		f.metadata("m "+help, store.Metadata{Name: "m " + help, Type: "stateset", Help: help, Unit: help})
	}
}

func progress(f *fixture) {
	topic := f.tenant + "-topic"
	at := func(topic, generation string) string {
		got, err := f.store.Progress(f.Context(), topic, generation)
		if err != nil {
			f.Fatalf("cannot read the progress: %v", err)
		}
		return fmt.Sprint(got)
	}
	f.write(f.batch().progress(topic, "a", 0, 10).progress(topic, "a", 7, 1<<40).progress(topic+"2", "a", 0, 3))
	f.same("map[0:10 7:1099511627776]", at(topic, "a"))
	f.same("map[0:3]", at(topic+"2", "a"))
	f.write(f.batch().sample(metric("m"), baseMs, 1).progress(topic, "a", 0, 20))
	f.same("map[0:20 7:1099511627776]", at(topic, "a"))
	f.write(f.batch().progress(topic, "b", 0, 2).progress(topic, "", 1, 3)) // made again, with fewer records
	f.same("map[0:2]", at(topic, "b"))
	f.same("map[1:3]", at(topic, ""))
	f.write(f.batch().progress(topic, "a", 0, 15)) // a replay
	f.same("map[0:20 7:1099511627776]", at(topic, "a"))
}

func emptyBatch(f *fixture) {
	f.write(f.batch())
	f.expect(f.all())
}
