package main

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/prometheus/prometheus/model/labels"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// secret is in all that the tenant a has outside its part 1, in all of z, and in nothing else; so is secretValue.
const (
	secret      = "zq7x"
	secretValue = 424242
)

// fill writes for the tenant a series with secrets and some of part 1, for z secrets, and for b some of its own.
func fill(t *testing.T, w store.Writer) {
	t.Helper()
	b := &store.Batch{}
	now := time.Now().UnixMilli()
	add := func(tenant string, value float64, pairs ...string) {
		ls := labels.FromStrings(pairs...)
		k := store.KeyOf(tenant, ls)
		b.Series = append(b.Series, store.Series{Tenant: tenant, Key: k, Labels: ls, MinMs: now - 60_000, MaxMs: now})
		d, _ := store.DecimalOf(value, 0)
		for ts := now - 60_000; ts <= now; ts += 15_000 {
			b.Samples.Append(k, ts, d)
		}
		b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: now - 1000, Value: value, Labels: labels.FromStrings("trace", pairs[len(pairs)-1])})
	}
	for i := range 3 {
		id := fmt.Sprint(i)
		add("a", secretValue, "__name__", "up", "i", id, "job", secret+"-job", "part", "2", "zone", secret)
		add("a", secretValue, "__name__", secret+"_total", "i", id, secret+"_label", "x", "part", "2", "zone", secret)
		add("a", 1, "__name__", "up", "i", id, "job", "open", "part", "1")
		add("z", secretValue, "__name__", "up", "i", id, "job", secret+"-job", "part", "1")
		add("b", 2, "__name__", "up", "i", id, "job", "theirs", "part", "1")
	}
	for _, name := range []string{secret, "up"} {
		help := "of " + name
		b.Metadata = append(b.Metadata, store.Metadata{Tenant: "a", Name: name, Type: "counter", Help: help})
	}
	b.Metadata = append(b.Metadata, store.Metadata{Tenant: "b", Name: "up", Type: "gauge", Help: "theirs"})
	if err := w.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

var _ store.Writer = (*memory.Tiers)(nil)
