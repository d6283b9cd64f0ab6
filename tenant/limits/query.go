package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/common/model"
)

// Bound is what one query is held to in one respect, and where that comes from.
type Bound struct {
	// Most is 0 where there is no bound.
	Most int64

	// Name is the limit's, such as query_series or query.max_series, and Of whose it is: "the tenant", "the key", or
	// empty for the process. ID is which tenant or key that is.
	Name, Of, ID string
}

// String returns the words by which a client tells its operator what to raise.
func (b Bound) String() string {
	if b.Of == "" {
		return b.Name
	}
	return "the limit " + b.Name + " of " + b.Of
}

// Setting returns the same as the name of a setting and whose it is, such as limits.query_series of the tenant "a".
func (b Bound) Setting() string {
	if b.Of == "" {
		return b.Name
	}
	return fmt.Sprintf("limits.%s of %s %q", b.Name, b.Of, b.ID)
}

// Or returns the smaller of two bounds, of which any may be none.
func (b Bound) Or(o Bound) Bound {
	if o.Most > 0 && (b.Most <= 0 || o.Most < b.Most) {
		return o
	}
	return b
}

// Errorf returns a [*Reached] of [store.KindLimit] with a text as fmt.Errorf makes it.
func (b Bound) Errorf(format string, args ...any) error {
	return &Reached{Limit: b.Name, err: store.Limitf(format, args...)}
}

// Reached is the error of a request that a limit has ended.
type Reached struct {
	// Limit is the limit's name.
	Limit string
	err   error
}

func (r *Reached) Error() string { return r.err.Error() }

// Unwrap returns what has the kind.
func (r *Reached) Unwrap() error { return r.err }

// OfTenant and OfKey return a limit of the tenant or the key as a bound.
func (g *Grant) OfTenant(name string, most int64) Bound {
	return Bound{Most: most, Name: name, Of: "the tenant", ID: g.Tenant}
}

func (g *Grant) OfKey(name string, most int64) Bound {
	return Bound{Most: most, Name: name, Of: "the key", ID: g.Key}
}

// least returns the smaller of the tenant's limit and the key's.
func (g *Grant) least(name string, of func(*Limits) int64) Bound {
	return g.OfTenant(name, of(&g.Limits)).Or(g.OfKey(name, of(&g.KeyLimits)))
}

// Range bounds the time that a query is over, in nanoseconds as a [time.Duration].
func (g Grant) Range() Bound {
	return g.least("query_range", func(l *Limits) int64 { return int64(l.QueryRange) })
}

// Duration bounds how long a query takes, in nanoseconds as a [time.Duration].
func (g Grant) Duration() Bound {
	return g.least("query_duration", func(l *Limits) int64 { return int64(l.QueryDuration) })
}

// Reading is what one query may read with all its selectors.
type Reading struct{ Series, Samples Bound }

// Reading returns what a query may read, with bounds of the process' own behind those of tenant and key.
func (g Grant) Reading(series, samples Bound) Reading {
	return Reading{
		Series:  series.Or(g.least("query_series", func(l *Limits) int64 { return l.QuerySeries })),
		Samples: samples.Or(g.least("query_samples", func(l *Limits) int64 { return l.QuerySamples })),
	}
}

// TooManySeries returns the error of a query that reads more series.
func (r Reading) TooManySeries() error {
	return r.Series.Errorf("the query reads more than %d series; choose fewer by label matchers, or raise %s", r.Series.Most, r.Series)
}

// TooManySamples returns the error of a query that reads more samples.
func (r Reading) TooManySamples() error {
	return r.Samples.Errorf("the query reads more than %d samples; choose a shorter time or fewer series, or raise %s", r.Samples.Most, r.Samples)
}

// Name returns the error of a reader that these bounds were given to, with their names where it is about them.
func (r Reading) Name(err error) error {
	e, ok := errors.AsType[*store.Excess](err)
	switch {
	case !ok:
		return err
	case e.Of == store.SeriesBound:
		return r.TooManySeries()
	}
	return r.TooManySamples()
}

// CheckRange refuses a query over more time than [Grant.Range] allows.
func (g Grant) CheckRange(d time.Duration) error {
	b := g.Range()
	if b.Most <= 0 || d <= time.Duration(b.Most) {
		return nil
	}
	return b.Errorf("the query is over %s, more than %s; choose a shorter time, or raise %s", model.Duration(d), model.Duration(b.Most), b)
}

// Smallest returns what a read of several tenants by one key is held to, under a name for all of them: of the limits of
// queries the smallest of each.
func Smallest(name string, of []Grant) Grant {
	g := Grant{Tenant: name, Each: of}
	for i, o := range of {
		if i == 0 {
			g.Limits, g.Key, g.KeyLimits, g.Home = o.Limits, o.Key, o.KeyLimits, o.Home
			continue
		}
		g.Limits = smaller(g.Limits, o.Limits)
	}
	return g
}

func smaller(a, b Limits) Limits {
	for _, f := range []struct {
		a *int64
		b int64
	}{
		{&a.ConcurrentQueries, b.ConcurrentQueries}, {&a.QuerySeries, b.QuerySeries}, {&a.QuerySamples, b.QuerySamples},
		{(*int64)(&a.QueryRange), int64(b.QueryRange)}, {(*int64)(&a.QueryDuration), int64(b.QueryDuration)},
	} {
		if f.b > 0 && (*f.a <= 0 || f.b < *f.a) {
			*f.a = f.b
		}
	}
	return a
}

type contextKey struct{}

// NewContext returns a context whose reads are held to a grant.
func NewContext(ctx context.Context, g Grant) context.Context {
	return context.WithValue(ctx, contextKey{}, g)
}

// FromContext returns the grant of the context, without limits where there is none.
func FromContext(ctx context.Context) Grant {
	g, _ := ctx.Value(contextKey{}).(Grant)
	return g
}
