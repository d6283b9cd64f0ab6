package cache_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/redis/go-redis/v9"
)

// BenchmarkDashboard refreshes a panel of six hours every 15 seconds, over 1,000 series that are scraped every 15 seconds:
// without a cache, with one in the process, with a process that remembers nothing itself and has Redis, and with one that remembers nothing and keeps everything. They take turns.
func BenchmarkDashboard(b *testing.B) {
	s := openStore(b)
	end := time.Now().Add(-time.Minute).Truncate(15 * time.Second)
	const refreshes = 40
	begin := end.Add(-refreshes * 15 * time.Second) // the first refresh
	fill(b, s, begin.Add(-6*time.Hour-10*time.Minute), end)
	server := testenv.StartRedis(b)
	client := redis.NewClient(&redis.Options{Addr: server.Address, DisableIdentity: true})
	defer client.Close()

	for _, query := range []string{`sum by (job) (rate(requests_total[5m]))`, `rate(requests_total[5m])`, `histogram_quantile(0.9, sum by (le) (rate(requests_total[5m])))`} {
		b.Run(query, func(b *testing.B) {
			now := begin
			clock := func() time.Time { return now }
			queriers := []*querier{
				newQuerier(b, setup{remember: true, store: s, now: clock}),
				newQuerier(b, setup{remember: true, store: s, now: clock, config: cache.DefaultConfig()}),
				newQuerier(b, setup{remember: true, store: s, now: clock, config: cache.DefaultConfig(), redis: client}),
				newQuerier(b, setup{remember: true, store: s, now: clock, config: cache.DefaultConfig()}),
			}
			var took [4]time.Duration
			var size int
			refresh := func(i int) {
				now = begin.Add(time.Duration(i) * 15 * time.Second)
				ms := now.UnixMilli()
				queriers[2].cache.ForgetLocally()
				queriers[3].cache.ForgetLocally()
				for k, q := range queriers {
					from := time.Now()
					code, body := q.ask(b.Context(), "/api/v1/query_range", rangeParams(query, ms-6*hourMs, ms, 15_000))
					took[k] += time.Since(from)
					if size = len(body); code != 200 {
						b.Fatal(body)
					}
				}
			}
			refresh(0)
			took = [4]time.Duration{}
			i := 0
			for b.Loop() {
				i = i%refreshes + 1
				refresh(i)
			}
			for k, name := range []string{"uncached", "memory", "redis", "miss"} {
				b.ReportMetric(took[k].Seconds()*1000/float64(b.N), "ms/"+name)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// BenchmarkInstant asks for the newest value of a series again and again.
func BenchmarkInstant(b *testing.B) {
	s := openStore(b)
	end := time.Now().Truncate(15 * time.Second)
	fill(b, s, end.Add(-10*time.Minute), end)
	params := url.Values{"query": {`rate(requests_total{instance="host7"}[1m])`}}
	for name, config := range map[string]cache.Config{"uncached": {}, "remembered": cache.DefaultConfig()} {
		q := newQuerier(b, setup{remember: true, store: s, config: config})
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if code, body := q.ask(b.Context(), "/api/v1/query", params); code != 200 {
					b.Fatal(body)
				}
			}
		})
	}
}

// fill writes 1,000 counters.
func fill(b testing.TB, s *tables, from, to time.Time) {
	b.Helper()
	batch := &store.Batch{}
	var keys []store.Key
	for i := range 1000 {
		ls := labels.FromStrings(labels.MetricName, "requests_total", "instance", fmt.Sprint("host", i), "job", fmt.Sprint("job", i%10), "le", fmt.Sprint(i%5), "region", "eu-central-1", "pod", fmt.Sprintf("service-%08x", i*7919))
		key := store.KeyOf(store.DefaultTenant, ls)
		keys = append(keys, key)
		batch.Series = append(batch.Series, store.Series{Tenant: store.DefaultTenant, Key: key, Labels: ls, MinMs: from.UnixMilli(), MaxMs: to.UnixMilli()})
	}
	n := int64(0)
	for at := from.UnixMilli(); at <= to.UnixMilli(); at += 15_000 {
		n++
		for i, key := range keys {
			batch.Samples.Append(key, at+int64(i), store.Decimal{Mant: n*int64(30+i%17) + int64(i)*1000 + n*n%13})
		}
	}
	if err := s.Write(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
}
