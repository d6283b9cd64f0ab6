package access_test

import (
	"context"
	"slices"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/prometheus/prometheus/model/labels"
)

// stats adds to the memory store what it does not have.
type stats struct{ *memory.Store }

func (stats) Stats(context.Context, string, int) (store.Stats, error) {
	return store.Stats{Series: 2}, nil
}

// filled has a series of team a and one of team b, both of the metric m, and one of b only of the family h.
func filled(t *testing.T) *access.Reader {
	t.Helper()
	m := memory.New()
	b := &store.Batch{}
	for _, ls := range []labels.Labels{
		labels.FromStrings("__name__", "m", "team", "a"),
		labels.FromStrings("__name__", "m", "team", "b"),
		labels.FromStrings("__name__", "h_bucket", "team", "b", "only", "b"),
	} {
		k := store.KeyOf("t", ls)
		b.Series = append(b.Series, store.Series{Tenant: "t", Key: k, Labels: ls, MinMs: 1000, MaxMs: 1000})
		d, _ := store.DecimalOf(1, 0)
		b.Samples.Append(k, 1000, d)
		b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: 1000, Value: 1})
	}
	b.Metadata = []store.Metadata{{Tenant: "t", Name: "m", Type: "gauge"}, {Tenant: "t", Name: "h", Type: "histogram"}}
	if err := m.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return access.New(stats{m})
}

// TestEachWay reads by every method, once with and once without matchers in the context.
func TestEachWay(t *testing.T) {
	r := filled(t)
	any := store.Selection{Tenant: "t", Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}, MaxMs: 2000}
	narrowed := tenant.WithMatchers(t.Context(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "team", "a")})
	for name, read := range map[string]func(ctx context.Context) (int, error){
		"Select": func(ctx context.Context) (n int, err error) {
			err = r.Select(ctx, any, func(*store.SeriesData) error { n++; return nil })
			return n, err
		},
		"Series": func(ctx context.Context) (int, error) { l, err := r.Series(ctx, any); return len(l), err },
		"LabelValues": func(ctx context.Context) (int, error) {
			l, err := r.LabelValues(ctx, "team", any)
			return 1 + len(l), err
		},
		"LabelNames": func(ctx context.Context) (int, error) { l, err := r.LabelNames(ctx, any); return len(l), err },
		"Exemplars":  func(ctx context.Context) (int, error) { l, err := r.Exemplars(ctx, any); return len(l), err },
		"Metadata":   func(ctx context.Context) (int, error) { l, err := r.Metadata(ctx, "t", ""); return 1 + len(l), err },
	} {
		if n, err := read(t.Context()); n != 3 || err != nil {
			t.Errorf("%s sees %d without matchers, want 3: %v", name, n, err)
		}
		want := map[string]int{"Select": 1, "Series": 1, "Exemplars": 1}[name]
		if want == 0 {
			want = 2
		}
		if n, err := read(narrowed); n != want || err != nil {
			t.Errorf("%s sees %d with matchers, want %d: %v", name, n, want, err)
		}
	}
	if len(any.Matchers) != 1 {
		t.Error("the caller's selection was changed")
	}
	if s, err := r.Stats(t.Context(), "t", 10); err != nil || s.Series != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := r.Stats(narrowed, "t", 10); store.KindOf(err) != store.KindInvalid {
		t.Errorf("statistics with matchers: %v", err)
	}
}

type rollups struct{ seen *rollup.Selection }

func (r rollups) SelectRollups(_ context.Context, s rollup.Selection, _ func(*rollup.Series) error) error {
	*r.seen = s
	return nil
}

func (rollups) Coverage(context.Context, string) (rollup.Coverage, error) {
	return rollup.Coverage{}, nil
}

func TestRollups(t *testing.T) {
	var seen rollup.Selection
	own, extra := labels.MustNewMatcher(labels.MatchEqual, "a", "b"), labels.MustNewMatcher(labels.MatchEqual, "team", "a")
	ctx := tenant.WithMatchers(t.Context(), []*labels.Matcher{extra})
	s := rollup.Selection{Tier: rollup.Hour, Selection: store.Selection{Tenant: "t", Matchers: []*labels.Matcher{own}}}
	if err := access.NewRollups(rollups{&seen}).SelectRollups(ctx, s, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen.Matchers, []*labels.Matcher{own, extra}) || seen.Tier != rollup.Hour || seen.Tenant != "t" {
		t.Errorf("%+v", seen)
	}
}
