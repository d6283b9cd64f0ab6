// Package storetest is the suite that every store passes: each rule of package store's interfaces as a case, and
// random data against the reference of package memory. It is for tests only.
package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

// Store is all that a store does.
type Store interface {
	store.Writer
	store.Reader
	store.ExemplarReader
	store.MetadataReader

	// Progress returns, for each partition of a generation of the topic, the next offset to read, as
	// Batch.Progress said it.
	Progress(ctx context.Context, topic, generation string) (map[int32]int64, error)
}

// Run runs the suite. It asks for one empty store, and works there with many tenants.
func Run(t *testing.T, newStore func(t testing.TB) Store) {
	s := newStore(t)
	for i, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for j, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					c.run(&fixture{TB: t, t: t, store: s, tenant: fmt.Sprintf("suite-%d-%d", i, j)})
				})
			}
		})
	}
}

var groups = []struct {
	name  string
	cases []testCase
}{
	{"samples", sampleCases},
	{"histograms", histogramCases},
	{"starts", startCases},
	{"matchers", matcherCases},
	{"labels", labelCases},
	{"tenants", tenantCases},
	{"limits", limitCases},
	{"others", otherCases},
	{"random", randomCases},
}

type testCase struct {
	name string
	run  func(*fixture)
}

// fixture is the store and a tenant that no other case uses.
type fixture struct {
	testing.TB
	t      *testing.T
	store  Store
	tenant string
}

// write writes the batch.
func (f *fixture) write(b *batch) {
	f.Helper()
	if err := f.store.Write(context.Background(), &b.Batch); err != nil {
		f.Fatalf("cannot write a batch: %v", err)
	}
}

// all selects everything of the tenant that has a metric name.
func (f *fixture) all() store.Selection {
	return store.Selection{
		Tenant:   f.tenant,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "")},
		MinMs:    math.MinInt64,
		MaxMs:    math.MaxInt64,
	}
}

// between selects everything of the tenant in a time.
func (f *fixture) between(minMs, maxMs int64) store.Selection {
	s := f.all()
	s.MinMs, s.MaxMs = minMs, maxMs
	return s
}

func (f *fixture) read(sel store.Selection) []*store.SeriesData {
	f.Helper()
	list, err := collect(f.store, sel)
	if err != nil {
		f.Fatalf("cannot select: %v", err)
	}
	return list
}

func collect(r store.Reader, sel store.Selection) ([]*store.SeriesData, error) {
	var list []*store.SeriesData
	err := r.Select(context.Background(), sel, func(d *store.SeriesData) error {
		list = append(list, d)
		return nil
	})
	for i, d := range list {
		if d.Key != store.KeyOf(sel.Tenant, d.Labels) {
			return nil, fmt.Errorf("series %s has the key %v", d.Labels, d.Key)
		}
		if i > 0 && list[i-1].Key.Compare(d.Key) >= 0 {
			return nil, fmt.Errorf("series %s comes after %s, whose key is greater", d.Labels, list[i-1].Labels)
		}
	}
	return list, err
}

// expect compares a selection with lines of the form that dump writes.
func (f *fixture) expect(sel store.Selection, want ...string) {
	f.Helper()
	f.same(strings.Join(want, "\n"), dump(f.read(sel)))
}

func (f *fixture) same(want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("wanted (-) and got (+):\n%s", diff)
	}
}
