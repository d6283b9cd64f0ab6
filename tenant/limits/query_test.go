package limits

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/common/model"
)

func TestReading(t *testing.T) {
	process := Bound{Most: 100, Name: "query.max_series"}
	for _, c := range []struct {
		tenant, key int64
		want        string
	}{
		{0, 0, "query.max_series"}, {200, 0, "query.max_series"}, {0, 200, "query.max_series"},
		{50, 0, "the limit query_series of the tenant"}, {50, 60, "the limit query_series of the tenant"},
		{50, 40, "the limit query_series of the key"}, {0, 40, "the limit query_series of the key"},
	} {
		g := Grant{Limits: Limits{QuerySeries: c.tenant}, KeyLimits: Limits{QuerySeries: c.key}}
		if got := g.Reading(process, Bound{}).Series.String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestNames: what a store says of a bound comes out with the name of the limit that the bound is from.
func TestNames(t *testing.T) {
	g := Grant{Limits: Limits{QuerySeries: 5}, KeyLimits: Limits{QuerySamples: 7}}
	r := g.Reading(Bound{Most: 100, Name: "query.max_series"}, Bound{Most: 100, Name: "query.max_samples"})
	for of, want := range map[string]string{
		store.SeriesBound:  "the query reads more than 5 series; choose fewer by label matchers, or raise the limit query_series of the tenant",
		store.SamplesBound: "the query reads more than 7 samples; choose a shorter time or fewer series, or raise the limit query_samples of the key",
	} {
		err := r.Name(store.TooMany(of, 5))
		if err.Error() != want || store.KindOf(err) != store.KindLimit {
			t.Errorf("got %v", err)
		}
		if reached, ok := errors.AsType[*Reached](err); !ok || reached.Limit != "query_"+of {
			t.Errorf("%v is %+v", err, reached)
		}
	}
	other := store.Limitf("something else")
	if err := r.Name(other); err != other || r.Name(nil) != nil {
		t.Errorf("got %v", err)
	}
}

func TestCheckRange(t *testing.T) {
	day := model.Duration(24 * time.Hour)
	g := Grant{Limits: Limits{QueryRange: 2 * day}, KeyLimits: Limits{QueryRange: day}}
	if err := g.CheckRange(24 * time.Hour); err != nil {
		t.Error(err)
	}
	err := g.CheckRange(24*time.Hour + time.Millisecond)
	if want := "the query is over 1d1ms, more than 1d; choose a shorter time, or raise the limit query_range of the key"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := (Grant{}).CheckRange(1 << 62); err != nil {
		t.Error(err)
	}
}

func TestSmallest(t *testing.T) {
	key := Limits{QuerySeries: 9}
	each := []Grant{
		{Tenant: "a", Limits: Limits{QuerySeries: 5, QueryRange: 7, ConcurrentQueries: 2}, Key: "k", KeyLimits: key, Home: "b"},
		{Tenant: "b", Limits: Limits{QuerySeries: 6, QueryDuration: 3}, Key: "k", KeyLimits: key, Home: "b"},
		{Tenant: "c", Limits: Limits{QuerySamples: 8, QueryRange: 6}, Key: "k", KeyLimits: key, Home: "b"},
	}
	g := Smallest("a|b|c", each)
	want := Grant{Tenant: "a|b|c", Limits: Limits{QuerySeries: 5, QuerySamples: 8, QueryRange: 6, QueryDuration: 3, ConcurrentQueries: 2}, Key: "k", KeyLimits: key, Home: "b", Each: each}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v, want %+v", g, want)
	}
	ctx := NewContext(t.Context(), g)
	if !reflect.DeepEqual(FromContext(ctx), want) || !reflect.DeepEqual(FromContext(t.Context()), Grant{}) {
		t.Error("the context's grant is another one")
	}
}
