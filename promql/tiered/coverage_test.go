package tiered_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/tiered"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/rollup"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	prom "github.com/prometheus/prometheus/promql"
)

// counted is a reader that counts how often it is asked what is covered.
type counted struct {
	rollup.Reader
	asked int
	spans rollup.Coverage
	err   error
}

func (c *counted) Coverage(context.Context, string) (rollup.Coverage, error) {
	c.asked++
	return c.spans, c.err
}

func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		r := tiered.Remember(c, nil)
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

// TestOldest: from when on there is what is among the metrics, for each tenant.
func TestOldest(t *testing.T) {
	c := &counted{spans: rollup.Coverage{{{FromMs: 7_000, ToMs: math.MaxInt64}}, {}, {{FromMs: 3_600_000, ToMs: 7_200_000}, {FromMs: 9_000_000, ToMs: 10_800_000}}}}
	registry := prometheus.NewRegistry()
	r := tiered.Remember(c, registry)
	ask := func(tenant, want string) {
		t.Helper()
		if _, err := r.Coverage(store.WithFresh(t.Context()), tenant); err != nil {
			t.Fatal(err)
		}
		const about = "# HELP metricstream_tiers_oldest_timestamp_seconds From when on a tenant's raw samples (tier raw) or downsampled rows can be read, as Unix time, of tenants that this process has answered.\n" +
			"# TYPE metricstream_tiers_oldest_timestamp_seconds gauge\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(about+want)); err != nil {
			t.Error(err)
		}
	}
	of := func(tenant, tier string, seconds int) string {
		return fmt.Sprintf("metricstream_tiers_oldest_timestamp_seconds{tenant=%q,tier=%q} %d\n", tenant, tier, seconds)
	}
	ask("a", of("a", "1h", 3600)+of("a", "raw", 7))
	c.spans = rollup.Coverage{{{FromMs: math.MaxInt64, ToMs: math.MaxInt64}}, {{FromMs: 60_000, ToMs: 120_000}}, {}}
	ask("b", of("a", "1h", 3600)+of("a", "raw", 7)+of("b", "1m", 60))
	ask("a", of("a", "1m", 60)+of("b", "1m", 60))
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
