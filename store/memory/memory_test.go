package memory

import (
	"context"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

var (
	_ store.Writer         = (*Store)(nil)
	_ store.Reader         = (*Store)(nil)
	_ store.ExemplarReader = (*Store)(nil)
	_ store.MetadataReader = (*Store)(nil)
)

// TestCollision proves that a batch with two series of one key is refused as a whole.
func TestCollision(t *testing.T) {
	s := New()
	key := store.Key{Metric: 1, ID: 2}
	first := store.Series{Tenant: "a", Key: key, Labels: labels.FromStrings("__name__", "m")}
	other := store.Series{Tenant: "a", Key: key, Labels: labels.FromStrings("__name__", "n")}
	b := store.Batch{Series: []store.Series{first, other}}
	b.Samples.Append(key, 1, store.Decimal{Mant: 1})
	if err := s.Write(context.Background(), &b); store.KindOf(err) != store.KindInvalid {
		t.Fatalf("two series of one key in a batch: %v", err)
	}
	if err := s.Write(context.Background(), &store.Batch{Series: b.Series[:1]}); err != nil {
		t.Fatal(err)
	}
	other = first
	other.Tenant = "b"
	if err := s.Write(context.Background(), &store.Batch{Series: []store.Series{other}}); store.KindOf(err) != store.KindInvalid {
		t.Fatalf("a key of another tenant: %v", err)
	}
	err := s.Select(context.Background(), store.Selection{Tenant: "a"}, func(*store.SeriesData) error {
		t.Error("a part of the refused batch was written")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
