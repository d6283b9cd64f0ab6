package cache_test

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/redis/go-redis/v9"
)

// BenchmarkDashboard refreshes a panel of six hours every 15 seconds, over 1,000 series that are scraped every 15 seconds: without
// a cache, with one in the process, with a process that remembers nothing itself and has Redis, and with one that remembers
// nothing and keeps everything. They take turns. CPU is that of this process and of ClickHouse together.
func BenchmarkDashboard(b *testing.B) {
	clickhouse := testenv.StartOwnEngine(b, "")
	s := openStoreAt(b, clickhouse.DSN())
	end := time.Now().Add(-time.Minute).Truncate(15 * time.Second)
	const refreshes = 40
	begin := end.Add(-refreshes * 15 * time.Second) // the first refresh
	fill(b, s, begin.Add(-6*time.Hour-10*time.Minute), end)
	server := testenv.StartRedis(b)
	client := redis.NewClient(&redis.Options{Addr: server.Address, DisableIdentity: true})
	defer client.Close()
	now := begin
	clock := func() time.Time { return now }
	kinds := []struct {
		name   string
		setup  setup
		forget bool
	}{
		{"uncached", setup{}, false},
		{"memory", setup{config: cache.DefaultConfig()}, false},
		{"redis", setup{config: cache.DefaultConfig(), redis: client}, true},
		{"miss", setup{config: cache.DefaultConfig()}, true},
	}
	var queriers []*querier
	for _, k := range kinds {
		k.setup.store, k.setup.now, k.setup.remember = s, clock, true
		queriers = append(queriers, newQuerier(b, k.setup))
	}
	for _, query := range []string{`sum by (job) (rate(requests_total[5m]))`, `rate(requests_total[5m])`, `histogram_quantile(0.9, sum by (le) (rate(requests_total[5m])))`} {
		b.Run(query, func(b *testing.B) {
			took, used := make([]time.Duration, len(kinds)), make([]time.Duration, len(kinds))
			refresh := func(i int) {
				now = begin.Add(time.Duration(i) * 15 * time.Second)
				ms := now.UnixMilli()
				for k, q := range queriers {
					if kinds[k].forget {
						q.cache.ForgetLocally()
					}
					from, cpu := time.Now(), cpuTime(b, clickhouse.PID())
					code, body := q.ask(b.Context(), "/api/v1/query_range", rangeParams(query, ms-6*hourMs, ms, 15_000))
					took[k] += time.Since(from)
					used[k] += cpuTime(b, clickhouse.PID()) - cpu
					if code != 200 {
						b.Fatal(body)
					}
				}
			}
			refresh(0)
			clear(took)
			clear(used)
			i := 0
			for b.Loop() {
				i = i%refreshes + 1
				refresh(i)
			}
			for k, kind := range kinds {
				b.ReportMetric(took[k].Seconds()*1000/float64(b.N), "ms/"+kind.name)
				b.ReportMetric(used[k].Seconds()*1000/float64(b.N), "cpu-ms/"+kind.name)
			}
		})
	}
}

// cpuTime is what this process and another one have used.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	total := int64(0)
	for _, who := range []string{"self", strconv.Itoa(pid)} {
		stat, err := os.ReadFile("/proc/" + who + "/stat")
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] {
			ticks, _ := strconv.ParseInt(f, 10, 64)
			total += ticks
		}
	}
	return time.Duration(total) * 10 * time.Millisecond
}

// BenchmarkInstant asks for the newest value of a series again and again: without a cache, with one, and with Redis, where
// the answer never is there ("first") or always ("redis"). They take turns.
func BenchmarkInstant(b *testing.B) {
	s := openStore(b)
	server := testenv.StartRedis(b)
	client := redis.NewClient(&redis.Options{Addr: server.Address, DisableIdentity: true})
	defer client.Close()
	end := time.Now().Truncate(15 * time.Second)
	fill(b, s, end.Add(-10*time.Minute), end)
	params := url.Values{"query": {`rate(requests_total{instance="host7"}[1m])`}}
	kinds := []struct {
		name   string
		setup  setup
		before func(*querier)
	}{
		{"uncached", setup{}, func(*querier) {}},
		{"first", setup{config: cache.DefaultConfig(), redis: client}, func(q *querier) {
			q.cache.ForgetAnswers()
			client.FlushAll(b.Context())
		}},
		{"redis", setup{config: cache.DefaultConfig(), redis: client}, func(q *querier) { q.cache.ForgetAnswers() }},
		{"memory", setup{config: cache.DefaultConfig()}, func(*querier) {}},
	}
	queriers, took := make([]*querier, len(kinds)), make([]time.Duration, len(kinds))
	for i, k := range kinds {
		k.setup.store, k.setup.remember = s, true
		queriers[i] = newQuerier(b, k.setup)
	}
	for b.Loop() {
		for i, q := range queriers {
			kinds[i].before(q)
			from := time.Now()
			if code, body := q.ask(b.Context(), "/api/v1/query", params); code != 200 {
				b.Fatal(body)
			}
			took[i] += time.Since(from)
		}
	}
	for i, k := range kinds {
		b.ReportMetric(took[i].Seconds()*1000/float64(b.N), "ms/"+k.name)
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
