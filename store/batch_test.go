package store_test

import (
	"testing"

	"github.com/metricstream/metricstream/store"
)

func TestBatchReset(t *testing.T) {
	for name, fill := range map[string]func(*store.Batch){
		"series": func(b *store.Batch) { b.Series = append(b.Series, store.Series{Tenant: "a"}) },
		"samples": func(b *store.Batch) {
			b.Samples.Append(store.Key{Metric: 1, ID: 2}, 3, store.Decimal{Exp: -4, Mant: 5})
		},
		"starts":     func(b *store.Batch) { b.Starts = append(b.Starts, store.Start{}) },
		"histograms": func(b *store.Batch) { b.Histograms = append(b.Histograms, store.Histogram{Blob: []byte{1}}) },
		"exemplars":  func(b *store.Batch) { b.Exemplars = append(b.Exemplars, store.Exemplar{}) },
		"metadata":   func(b *store.Batch) { b.Metadata = append(b.Metadata, store.Metadata{Name: "m"}) },
	} {
		b := &store.Batch{Progress: []store.Progress{{Topic: "t"}}}
		if !b.Empty() {
			t.Error("progress alone is not data")
		}
		fill(b)
		if b.Empty() {
			t.Errorf("a batch with %s is empty", name)
		}
		b.Reset()
		if !b.Empty() || len(b.Progress) != 0 {
			t.Errorf("a batch with %s is not empty after Reset: %+v", name, b)
		}
	}
	var s store.Samples
	s.Append(store.Key{Metric: 1, ID: 2}, 3, store.Decimal{Exp: -4, Mant: 5})
	if s.Len() != 1 || s.Metrics[0] != 1 || s.IDs[0] != 2 || s.TimesMs[0] != 3 || s.Exps[0] != -4 || s.Mants[0] != 5 {
		t.Errorf("appended: %+v", s)
	}
}
