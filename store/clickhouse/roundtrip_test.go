package clickhouse_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

const dayMs = 24 * 60 * 60 * 1000

// batchOf returns a batch of series with one sample each at a time.
func batchOf(tenant string, timeMs int64, sets ...labels.Labels) *store.Batch {
	b := &store.Batch{}
	for i, ls := range sets {
		k := store.KeyOf(tenant, ls)
		b.Series = append(b.Series, store.Series{Tenant: tenant, Key: k, Labels: ls, MinMs: timeMs, MaxMs: timeMs})
		d, _ := store.DecimalOf(float64(i), 0)
		b.Samples.Append(k, timeMs, d)
	}
	return b
}

func write(t testing.TB, w store.Writer, b *store.Batch) {
	t.Helper()
	if err := w.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func selectAll(t testing.TB, r store.Reader, sel store.Selection) []*store.SeriesData {
	t.Helper()
	var out []*store.SeriesData
	if err := r.Select(context.Background(), sel, func(d *store.SeriesData) error { out = append(out, d); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func everything(tenant string, ms ...*labels.Matcher) store.Selection {
	return store.Selection{Tenant: tenant, Matchers: ms, MinMs: math.MinInt64, MaxMs: math.MaxInt64}
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// Every byte may stand in a label's name and value, also what SQL or the native protocol could take for its own.
func TestHostileStringsStayWhatTheyAre(t *testing.T) {
	s := open(t)
	var all []byte
	for c := range 128 {
		all = append(all, byte(c))
	}
	values := []string{
		string(all), "' OR 1=1 --", `\`, `\'`, `\\`, `\N`, "'", "''", "\x00", "a\x00b", "\t\n\r\b\f\v", `"`, "`", "{p0:String}", "$WHERE",
		"é ☃ 💥", `[a'b]`, "NULL", "%", "?", "@", ";\nDROP TABLE samples", "\xff\xfe", " ", "*/ /*",
	}
	var sets []labels.Labels
	for i, v := range values {
		sets = append(sets, labels.FromStrings("__name__", "m", "v", v, "n"+v, fmt.Sprint(i)))
	}
	b := batchOf("ten'ant", 1000, sets...)
	for i, v := range values {
		b.Progress = append(b.Progress, store.Progress{Topic: "t" + v, Generation: "g" + v, NextOffset: int64(i) + 1})
	}
	write(t, s, b)
	for i, v := range values {
		for _, ms := range [][]*labels.Matcher{
			{equal("__name__", "m"), equal("v", v)},
			{equal("n"+v, fmt.Sprint(i))},
			{labels.MustNewMatcher(labels.MatchNotEqual, "n"+v, "")},
			{equal("v", v), labels.MustNewMatcher(labels.MatchNotEqual, "v", "x'")},
		} {
			got := selectAll(t, s, everything("ten'ant", ms...))
			if len(got) != 1 || labels.Compare(got[0].Labels, sets[i]) != 0 {
				t.Errorf("%q by %v: got %v", v, ms, got)
			}
		}
		if at, err := s.Progress(context.Background(), "t"+v, "g"+v); err != nil || at[0] != int64(i)+1 {
			t.Errorf("progress of topic %q: %v, %v", "t"+v, at, err)
		}
		list, err := s.LabelValues(context.Background(), "n"+v, everything("ten'ant"))
		if diff := cmp.Diff([]string{fmt.Sprint(i)}, list); err != nil || diff != "" {
			t.Errorf("values of label %q: %v %s", "n"+v, err, diff)
		}
	}
}
