package tiered_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	prom "github.com/prometheus/prometheus/promql"
)

// counted is a reader that counts how often it is asked what is covered.
type counted struct {
	rollup.Reader
	asked int
	err   error
}

func (c *counted) Coverage(context.Context, string) (rollup.Coverage, error) {
	c.asked++
	return rollup.Coverage{}, c.err
}

func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		r := tiered.Remember(c)
		ask := func(tenant string, want int) {
			t.Helper()
			if _, err := r.Coverage(t.Context(), tenant); err != nil || c.asked != want {
				t.Errorf("asked %d times, wanted %d: %v", c.asked, want, err)
			}
		}
		ask("a", 1)
		ask("a", 1)
		ask("b", 2)
		if _, err := r.Coverage(store.WithFresh(t.Context()), "b"); err != nil || c.asked != 3 {
			t.Errorf("asked %d times, wanted 3: %v", c.asked, err)
		}
		c.asked--
		time.Sleep(time.Minute)
		ask("a", 3)
		c.err = errors.New("away")
		time.Sleep(time.Minute)
		if _, err := r.Coverage(t.Context(), "a"); err == nil {
			t.Error("an error was remembered away")
		}
	})
}

// TestCoverageErrors: what ends a query before it is evaluated is told apart as what ends it later.
func TestCoverageErrors(t *testing.T) {
	c := &counted{err: errors.New("no connection")}
	e := tiered.New(tiered.Options{Config: promql.DefaultConfig(), Tiers: c})
	_, err := e.NewInstantQuery(t.Context(), nil, nil, "up", time.Unix(0, 0))
	if _, ok := errors.AsType[prom.ErrStorage](err); !ok {
		t.Errorf("the store is away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.NewInstantQuery(ctx, nil, nil, "up", time.Unix(0, 0))
	if _, ok := errors.AsType[prom.ErrQueryCanceled](err); !ok {
		t.Errorf("the client is away: %v", err)
	}
	if _, err = e.NewInstantQuery(t.Context(), nil, nil, "up(", time.Unix(0, 0)); err == nil {
		t.Error("an expression that does not parse was planned")
	}
}
