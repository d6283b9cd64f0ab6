package clickhouse_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

func TestStatsCountLiveSeries(t *testing.T) {
	s := open(t)
	if got, err := s.Stats(context.Background(), "t", 10); err != nil || got.Series != 0 {
		t.Fatalf("statistics of nothing: %v, %v", got, err)
	}
	set := labels.FromStrings
	live := batchOf("t", 10*dayMs+5, set("__name__", "up", "job", "a", "i", "11"), set("__name__", "up", "job", "a", "i", "2"), set("__name__", "x", "job", "b"))
	for range 3 {
		write(t, s, live) // announced again and again
	}
	write(t, s, batchOf("t", 3*dayMs, set("__name__", "dead", "job", "a")))
	write(t, s, batchOf("other", 10*dayMs, set("__name__", "up", "job", "o")))
	want := store.Stats{
		Series: 3, LabelPairs: 6, MinMs: 10 * dayMs, MaxMs: 11*dayMs - 1,
		SeriesByMetric: []store.Count{{Name: "up", Value: 2}, {Name: "x", Value: 1}},
		ValuesByLabel:  []store.Count{{Name: "__name__", Value: 2}, {Name: "i", Value: 2}},
		BytesByLabel:   []store.Count{{Name: "__name__", Value: 5}, {Name: "i", Value: 3}},
		SeriesByPair:   []store.Count{{Name: "__name__=up", Value: 2}, {Name: "job=a", Value: 2}},
	}
	got, err := s.Stats(context.Background(), "t", 2)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestDiskUsage(t *testing.T) {
	s := open(t)
	write(t, s, batchOf("t", 0, labels.FromStrings("__name__", "up")))
	usage, err := s.DiskUsage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range usage {
		if u.Table == "samples" && u.Rows == 1 && u.Parts == 1 && u.Bytes > 0 {
			return
		}
	}
	t.Errorf("no row of samples in %v", usage)
}
