package store_test

import (
	"fmt"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// TestKeyGolden holds the keys that are in people's tables: they never change.
func TestKeyGolden(t *testing.T) {
	for _, c := range []struct {
		tenant string
		labels labels.Labels
		want   string
	}{
		{"anonymous", labels.FromStrings("__name__", "up"), "97bd60f9-6ea49dcb42f172e3"},
		{"anonymous", labels.FromStrings("__name__", "up", "job", "node"), "97bd60f9-648da897b144fb31"},
		{"other", labels.FromStrings("__name__", "up", "job", "node"), "d759579a-e58fcb1813af693a"},
		{"anonymous", labels.FromStrings("job", "node"), "cd39d13c-400d9e585af7a07a"},
		{"anonymous", labels.EmptyLabels(), "cd39d13c-7bf586f7a5f3c26d"},
		{"", labels.FromStrings("__name__", "ü.dots", "日本", "'\"\\"), "7c0cfdfc-c0f4095502c25052"},
	} {
		k := store.KeyOf(c.tenant, c.labels)
		if got := fmt.Sprintf("%08x-%016x", k.Metric, k.ID); got != c.want {
			t.Errorf("the key of %s of tenant %q is %s, it was %s", c.labels, c.tenant, got, c.want)
		}
		if m := store.MetricOf(c.tenant, c.labels.Get("__name__")); m != k.Metric {
			t.Errorf("MetricOf %s is %08x, KeyOf says %08x", c.labels, m, k.Metric)
		}
	}
}

// TestKeyTellsApart: what differs only in where one string ends and the next begins has another key.
func TestKeyTellsApart(t *testing.T) {
	seen := map[store.Key]string{}
	long := string(make([]byte, 3000))
	for _, tenant := range []string{"", "a", "ab", "anonymous"} {
		for _, ls := range []labels.Labels{
			labels.EmptyLabels(),
			labels.FromStrings("__name__", "ab"),
			labels.FromStrings("__name__", "a", "b", "c"),
			labels.FromStrings("__name__", "a", "bc", ""),
			labels.FromStrings("__name__", "a", "b", "cd", "e", "f"),
			labels.FromStrings("__name__", "a", "b", "c", "de", "f"),
			labels.FromStrings("a", "__name__"),
			labels.FromStrings("__name__", "a", "long", long),
			labels.FromStrings("__name__", "a", "long", long+"x"),
		} {
			k := store.KeyOf(tenant, ls)
			name := fmt.Sprintf("%q %s", tenant, ls)
			if other, ok := seen[k]; ok {
				t.Errorf("%s and %s have the key %v", name, other, k)
			}
			seen[k] = name
		}
	}
}

func TestKeyOrder(t *testing.T) {
	sorted := []store.Key{{}, {0, 1}, {0, 1 << 63}, {1, 0}, {1, 1}, {1 << 31, 0}}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v compared with %v is %d", a, b, got)
			}
		}
	}
}

func TestKeyPartition(t *testing.T) {
	for _, n := range []int{1, 3, 12} {
		for _, id := range []uint64{0, 1, 11, 1 << 63, ^uint64(0)} {
			if got := (store.Key{ID: id}).Partition(n); uint64(got) != id%uint64(n) {
				t.Errorf("partition of %d of %d is %d", id, n, got)
			}
		}
	}
}
