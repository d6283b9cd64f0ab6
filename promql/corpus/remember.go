package corpus

import (
	"context"
	"fmt"
	"sync"

	"github.com/metricstream/metricstream/store"
)

// Remember returns a reader that asks r for each selection once, and repeats the answer until the tenant is
// forgotten. The suite evaluates an expression some ten times over the same selections, with every way to write
// its time; over a database that repetition tests nothing new and takes most of the time.
func Remember(r store.Reader) *Remembering {
	return &Remembering{Reader: r, tenants: map[string]map[string][]*store.SeriesData{}}
}

// Remembering is a reader for tests; only what Select finds is remembered.
type Remembering struct {
	store.Reader

	mu      sync.Mutex
	tenants map[string]map[string][]*store.SeriesData
}

// Forget is called when the tenant has new data.
func (r *Remembering) Forget(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tenants, tenant)
}

// Select implements [store.Reader].
func (r *Remembering) Select(ctx context.Context, sel store.Selection, yield func(*store.SeriesData) error) error {
	list, err := r.find(ctx, sel)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := yield(owned(d)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Remembering) find(ctx context.Context, sel store.Selection) ([]*store.SeriesData, error) {
	key := fmt.Sprint(sel)
	r.mu.Lock()
	list, ok := r.tenants[sel.Tenant][key]
	r.mu.Unlock()
	if ok {
		return list, nil
	}
	err := r.Reader.Select(ctx, sel, func(d *store.SeriesData) error {
		list = append(list, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tenants[sel.Tenant] == nil {
		r.tenants[sel.Tenant] = map[string][]*store.SeriesData{}
	}
	r.tenants[sel.Tenant][key] = list
	return list, nil
}

// owned returns a copy in all that the yield function of a selection may change.
func owned(d *store.SeriesData) *store.SeriesData {
	c := *d
	c.TimesMs, c.Values = append([]int64(nil), d.TimesMs...), append([]float64(nil), d.Values...)
	c.Starts = append([]store.StartPoint(nil), d.Starts...)
	c.Histograms = append([]store.HistogramPoint(nil), d.Histograms...)
	for i := range c.Histograms {
		p := &c.Histograms[i]
		if p.Int != nil {
			p.Int = p.Int.Copy()
		}
		if p.Float != nil {
			p.Float = p.Float.Copy()
		}
	}
	return &c
}
