package federation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/access"
	"github.com/metricstream/metricstream/tenant/federation"
	"github.com/prometheus/prometheus/model/labels"
)

const nowMs = 1_700_000_000_000

// stored adds the statistics that the memory store has not.
type stored struct{ *memory.Store }

func (stored) Stats(context.Context, string, int) (store.Stats, error) {
	return store.Stats{Series: 1}, nil
}

// write adds a series with a sample and an exemplar.
func write(t testing.TB, s store.Writer, id string, value float64, ls labels.Labels) {
	t.Helper()
	k := store.KeyOf(id, ls)
	d, _ := store.DecimalOf(value, 0)
	b := &store.Batch{
		Series:    []store.Series{{Tenant: id, Key: k, Labels: ls, MinMs: nowMs, MaxMs: nowMs}},
		Exemplars: []store.Exemplar{{Key: k, TimeMs: nowMs, Value: value, Labels: labels.FromStrings("trace", fmt.Sprint(value))}},
	}
	b.Samples.Append(k, nowMs, d)
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// pair is a store with several tenants, and the same data in one tenant with the label that federation adds.
func pair(t testing.TB, seed uint64) (federated *federation.Reader, joined store.Reader) {
	t.Helper()
	m := memory.New()
	rng := rand.New(rand.NewPCG(seed, 0))
	value := 0.0
	for _, id := range []string{"a", "b", "c", "other"} {
		for i := range 12 {
			pairs := []string{"__name__", pickOf(rng, "up", "down"), "i", fmt.Sprint(i), "job", pickOf(rng, "x", "y", "")}
			moved := []string{"", "", ""}
			if rng.IntN(2) == 0 {
				moved = []string{pickOf(rng, "", "a", "q"), pickOf(rng, "", "b", "q"), pickOf(rng, "", "q")}
			}
			for depth, v := range moved {
				if v != "" {
					pairs = append(pairs, strings.Repeat("original_", depth)+"__tenant_id__", v)
				}
			}
			value++
			ls := labels.FromStrings(pairs...)
			write(t, m, id, value, withoutEmpty(ls))
			if id != "other" {
				write(t, m, "joined", value, withoutEmpty(markedByHand(id, pairs[:6], moved)))
			}
		}
	}
	return federation.New(access.New(stored{m})), m
}

// markedByHand says again what a series looks like: each label of the row moves on until there is a gap.
func markedByHand(id string, pairs, row []string) labels.Labels {
	all := append([]string{id}, row...)
	if i := slices.Index(row, ""); i >= 0 {
		all = slices.Concat([]string{id}, row[:i], row[i+1:])
	}
	for depth, v := range all {
		pairs = append(slices.Clip(pairs), strings.Repeat("original_", depth)+"__tenant_id__", v)
	}
	return labels.FromStrings(pairs...)
}

func withoutEmpty(ls labels.Labels) labels.Labels { return ls.WithoutEmpty() }

func pickOf(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

func randomMatchers(rng *rand.Rand) []*labels.Matcher {
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}
	for range rng.IntN(3) {
		name := pickOf(rng, "__tenant_id__", "__tenant_id__", "original___tenant_id__", "original_original___tenant_id__", "job", "__name__", "i")
		value := pickOf(rng, "a", "b", "a|b", "", "q", ".*", ".+", "x", "up", "joined", "other")
		ms = append(ms, labels.MustNewMatcher(labels.MatchType(rng.IntN(4)), name, value))
	}
	return ms
}

// TestLikeOneTenant compares, for random matchers, a read of several tenants with the read of one that has the same series
// with the label.
func TestLikeOneTenant(t *testing.T) {
	chosen := 0
	for seed := range uint64(15) {
		federated, joined := pair(t, seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		for range 40 {
			ms := randomMatchers(rng)
			one := store.Selection{Tenant: "joined", Matchers: ms, MinMs: nowMs - 1, MaxMs: nowMs + 1}
			several := one
			several.Tenant = "a|b|c"
			want, got := dump(t, joined, one), dump(t, federated, several)
			chosen += len(want["samples"])
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d, %v:\n%s", seed, ms, d)
			}
		}
	}
	if chosen < 500 {
		t.Errorf("the matchers chose %d series in all: they show nothing", chosen)
	}
}

// dump is all that can be read of a selection.
func dump(t *testing.T, r store.Reader, s store.Selection) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(r.Select(t.Context(), s, func(d *store.SeriesData) error {
		all["samples"] = append(all["samples"], fmt.Sprint(d.Labels, d.TimesMs, d.Values))
		return nil
	}))
	series, err := r.Series(t.Context(), s)
	check(err)
	for _, ls := range series {
		all["series"] = append(all["series"], ls.String())
	}
	exemplars, err := r.(store.ExemplarReader).Exemplars(t.Context(), s)
	check(err)
	for _, x := range exemplars {
		all["exemplars"] = append(all["exemplars"], fmt.Sprint(x.Labels, len(x.Exemplars), x.Exemplars[0].Value))
	}
	for _, list := range all {
		slices.Sort(list)
	}
	for _, name := range []string{"__name__", "job", "__tenant_id__", "original___tenant_id__", "original_original___tenant_id__", "nothing"} {
		values, err := r.LabelValues(t.Context(), name, s)
		check(err)
		all["values of "+name] = append([]string{}, values...)
	}
	// A list of names cannot tell which of them stand together, so one too many may be among those that were moved.
	names, err := r.LabelNames(t.Context(), s)
	check(err)
	for _, name := range names {
		if !strings.HasPrefix(name, "original_") {
			all["names"] = append(all["names"], name)
		}
	}
	return all
}

func TestLabelsThatMove(t *testing.T) {
	m := memory.New()
	write(t, m, "a", 1, labels.FromStrings("__name__", "up", "__tenant_id__", "mine", "original___tenant_id__", "older"))
	write(t, m, "b", 2, labels.FromStrings("__name__", "up"))
	r := federation.New(access.New(stored{m}))
	s := store.Selection{Tenant: "a|b", Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")}, MinMs: nowMs, MaxMs: nowMs}
	got, err := r.Series(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{__name__="up", __tenant_id__="a", original___tenant_id__="mine", original_original___tenant_id__="older"} {__name__="up", __tenant_id__="b"}]`
	if fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
	names, err := r.LabelNames(t.Context(), s)
	if want := []string{"__name__", "__tenant_id__", "original___tenant_id__", "original_original___tenant_id__"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %v, %v", names, err)
	}
}

// failing answers with an error for one tenant and waits for the end of the read for the others.
type failing struct {
	access.Store
	tenant string
	err    error
}

func (f failing) Series(ctx context.Context, s store.Selection) ([]labels.Labels, error) {
	if s.Tenant == f.tenant {
		if f.err == nil {
			panic("a fault")
		}
		return nil, f.err
	}
	if s.Tenant > f.tenant {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []labels.Labels{labels.FromStrings("__name__", "up")}, nil
}

// TestOneFails: the error of one tenant is the read's, and ends the others.
func TestOneFails(t *testing.T) {
	why := errors.New("away")
	s := store.Selection{Tenant: "a|b|c|d|e|f|g"}
	if _, err := federation.New(failing{tenant: "b", err: why}).Series(t.Context(), s); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if _, err := federation.New(failing{tenant: "a"}).Series(t.Context(), s); err == nil || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("got %v", err)
	}
}

// TestBoundsAreForAll: the bounds of a selection hold for all tenants together.
func TestBoundsAreForAll(t *testing.T) {
	federated, _ := pair(t, 0)
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}
	s := store.Selection{Tenant: "a|b|c", Matchers: ms, MinMs: nowMs, MaxMs: nowMs, MaxSeries: 36, MaxSamples: 36}
	keep := func(*store.SeriesData) error { return nil }
	if err := federated.Select(t.Context(), s, keep); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*store.Selection){func(s *store.Selection) { s.MaxSeries = 35 }, func(s *store.Selection) { s.MaxSamples = 35 }} {
		less := s
		change(&less)
		if err := federated.Select(t.Context(), less, keep); store.KindOf(err) != store.KindLimit {
			t.Errorf("%+v: %v", less, err)
		}
	}
	s.MaxSeries = 35
	if _, err := federated.Series(t.Context(), s); store.KindOf(err) != store.KindLimit {
		t.Errorf("series: %v", err)
	}
	if _, err := federated.Exemplars(t.Context(), s); store.KindOf(err) != store.KindLimit {
		t.Errorf("exemplars: %v", err)
	}
	stopped := errors.New("enough")
	if err := federated.Select(t.Context(), store.Selection{Tenant: "a|b", Matchers: ms, MinMs: nowMs, MaxMs: nowMs}, func(*store.SeriesData) error { return stopped }); err != stopped {
		t.Errorf("got %v", err)
	}
}

// TestSelectorsHoldForEachTenant: what a key may not see of one tenant it does not see of several either, and a selector
// about the tenant's label is about the label that is stored.
func TestSelectorsHoldForEachTenant(t *testing.T) {
	federated, _ := pair(t, 1)
	s := store.Selection{Tenant: "a|b|c", MinMs: nowMs, MaxMs: nowMs, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}}
	narrowed := func(name, value string) []labels.Labels {
		ctx := tenant.WithMatchers(t.Context(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, name, value)})
		found, err := federated.Series(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	x := narrowed("job", "x")
	if len(x) == 0 || slices.ContainsFunc(x, func(ls labels.Labels) bool { return ls.Get("job") != "x" }) {
		t.Errorf("got %v", x)
	}
	for _, ls := range narrowed("__tenant_id__", "a") {
		if ls.Get("original___tenant_id__") != "a" {
			t.Errorf("got %v", ls)
		}
	}
}

func TestMetadataAndStats(t *testing.T) {
	m := memory.New()
	b := &store.Batch{Metadata: []store.Metadata{
		{Tenant: "a", Name: "up", Type: "gauge", Help: "same"}, {Tenant: "b", Name: "up", Type: "gauge", Help: "same"},
		{Tenant: "c", Name: "up", Type: "gauge", Help: "another"}, {Tenant: "b", Name: "down", Type: "counter"},
		{Tenant: "other", Name: "secret", Type: "counter"},
	}}
	if err := m.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	r := federation.New(access.New(stored{m}))
	got, err := r.Metadata(t.Context(), "a|b|c", "")
	want := []store.Metadata{
		{Tenant: "a|b|c", Name: "down", Type: "counter"}, {Tenant: "a|b|c", Name: "up", Type: "gauge", Help: "same"}, {Tenant: "a|b|c", Name: "up", Type: "gauge", Help: "another"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err := r.Stats(t.Context(), "a|b", 1); store.KindOf(err) != store.KindInvalid {
		t.Errorf("got %v", err)
	}
	if s, err := r.Stats(t.Context(), "a", 1); err != nil || s.Series != 1 {
		t.Errorf("got %v, %v", s, err)
	}
}
