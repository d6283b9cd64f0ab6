package quota

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/redis"
	"github.com/metricstream/metricstream/tenant/limits"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// clock is the time of a test.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.UnixMilli(1_790_000_000_000)} }

func (c *clock) step(d time.Duration) { c.now = c.now.Add(d) }

func newLedger(c *clock, o Options) *Ledger {
	o.Logger, o.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	o.Now = func() time.Time { return c.now }
	return New(o)
}

// receiver is a ledger on a Redis whose time is the test's.
type receiver struct {
	*Ledger
	rates *Redis
}

func newReceiver(t *testing.T, c *clock, address, name string) *receiver {
	t.Helper()
	config := redis.DefaultConfig()
	config.Address = address
	client := redis.New(config)
	t.Cleanup(func() { client.Close() })
	rates := NewRedis(client, name)
	return &receiver{newLedger(c, Options{Shared: rates, Journal: NewRedisJournal(client)}), rates}
}

// exchangeNow is a round at the time of the clock.
func (r *receiver) exchangeNow(t *testing.T) {
	r.rates.nowMs = r.now().UnixMilli()
	r.round(t.Context())
}

func perSecond(tenant string, n, burst int64) *limits.Grant {
	return &limits.Grant{Tenant: tenant, Limits: limits.Limits{SamplesPerSecond: n, SamplesBurst: burst}}
}

// send offers n samples as a request does, and returns the verdict.
func send(l *Ledger, g *limits.Grant, n int) Verdict {
	tab := l.Open(g)
	v := tab.Exhausted()
	if v == Accepted {
		v = tab.Take(n)
	}
	tab.Close(Written(v == Accepted))
	return v
}

// nowhere is a shared count that does not answer.
type nowhere struct{}

func (nowhere) Exchange(context.Context, []Use, Absence) ([]Lease, int, error) {
	return nil, 0, errors.New("away")
}
