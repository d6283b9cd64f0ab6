package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/promql/cache"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/redis/go-redis/v9"
)

// scene is a store with some hours of samples, a querier without a cache and a question.
type scene struct {
	*changing
	nowMs    int64
	uncached *querier
	params   url.Values
}

func newScene(t *testing.T) *scene {
	s := openStore(t)
	w := &changing{t: t, store: s, maker: maker{rng: rand.New(rand.NewPCG(1, 1)), last: map[store.Key]float64{}}, all: seriesOf(store.DefaultTenant)}
	now := time.Now().UnixMilli() / hourMs * hourMs // what is remembered is cut at hours
	b := &store.Batch{}
	for _, one := range w.all {
		w.points(b, one, now-4*hourMs, now-minuteMs)
	}
	w.write(b)
	return &scene{changing: w, nowMs: now, uncached: newQuerier(t, setup{store: s}), params: rangeParams("load", now-3*hourMs, now-hourMs, 30_000)}
}

// same asks both queriers the question, and returns the answer that both have to give.
func (s *scene) same(q *querier, headers ...string) string {
	s.t.Helper()
	return s.sameOf(s.t.Context(), q, headers...)
}

func (s *scene) sameOf(ctx context.Context, q *querier, headers ...string) string {
	s.t.Helper()
	code, want := s.uncached.ask(ctx, "/api/v1/query_range", s.params, headers...)
	if _, got := q.ask(ctx, "/api/v1/query_range", s.params, headers...); got != want || code != http.StatusOK {
		s.t.Errorf("%s\nwant %d %s", around(got, want), code, around(want, got))
	}
	return want
}

func (s *scene) results(q *querier, want string) {
	s.t.Helper()
	var got []string
	for _, r := range []string{"hit", "partial", "miss", "bypass"} {
		if n := q.count(s.t, "range_queries_total", r); n > 0 {
			got = append(got, r, seconds(int64(n)*1000))
		}
	}
	if strings.Join(got, " ") != want {
		s.t.Errorf("queries: %s, want %s", strings.Join(got, " "), want)
	}
}

// deaf never hears that anything has changed.
type deaf struct{}

func (deaf) Changes(context.Context, []uint32, int64, int64) (store.Changes, error) { return nil, nil }

// TestLateSamples writes a late sample into what is remembered. Whoever is told of it answers with it; the one who is not told
// shows that the others would be wrong without.
func TestLateSamples(t *testing.T) {
	s := newScene(t)
	q, other := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()}), newQuerier(t, setup{store: s.store, config: cache.DefaultConfig(), changes: deaf{}})
	before := s.same(q)
	s.same(other)
	s.same(q)
	s.results(q, "hit 1 miss 1")

	late := &store.Batch{}
	d, _ := store.DecimalOf(123456, 0)
	for _, one := range s.all {
		if one.Labels.Get(labels.MetricName) == "load" {
			late.Samples.Append(one.Key, s.nowMs-2*hourMs, d)
		}
	}
	s.write(late)
	q.cache.ForgetChanges()
	if after := s.same(q); after == before || !strings.Contains(after, "123456") {
		t.Error("the late sample is not in the answer")
	}
	if _, got := other.ask(t.Context(), "/api/v1/query_range", s.params); got != before {
		t.Error("the late sample is in the answer of one who was not told")
	}

	// A sample of another metric is no reason to compute anything again.
	hits := q.count(t, "range_queries_total", "hit")
	one := &store.Batch{}
	one.Samples.Append(store.Key{Metric: store.MetricOf(store.DefaultTenant, "others"), ID: 1}, s.nowMs-2*hourMs, d)
	s.write(one)
	q.cache.ForgetChanges()
	s.same(q)
	if q.count(t, "range_queries_total", "hit") != hits+1 {
		t.Error("another metric's late sample made it forget")
	}
}

// TestAConsumerIsKilled has late samples in the tables whose change nobody was told of, as a consumer leaves them that is killed
// between the two. When it writes them again, as it does because they are beyond its progress, everybody is told.
func TestAConsumerIsKilled(t *testing.T) {
	s := newScene(t)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()})
	before := s.same(q)
	late := &store.Batch{}
	d, _ := store.DecimalOf(123456, 0)
	for _, one := range s.all {
		if one.Labels.Get(labels.MetricName) == "load" {
			late.Samples.Append(one.Key, s.nowMs-2*hourMs, d)
		}
	}
	for i, id := range late.Samples.IDs {
		insert := fmt.Sprintf("INSERT INTO samples (metric, id, ts, exp, mant) VALUES (%d, %d, %d, %d, %d)", late.Samples.Metrics[i], id, late.Samples.TimesMs[i], d.Exp, d.Mant)
		if err := s.store.conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	s.write(late)
	q.cache.ForgetChanges()
	if s.same(q) == before {
		t.Error("the late samples are not in the answer")
	}
}

// TestExpiredSamples drops a day: what was computed of it is not shown any more.
func TestExpiredSamples(t *testing.T) {
	s := newScene(t)
	old := &store.Batch{}
	day := (s.nowMs/(24*hourMs) - 3) * 24 * hourMs
	for _, one := range s.all {
		s.points(old, one, day+10*hourMs, day+14*hourMs)
	}
	s.write(old)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()})
	s.params = rangeParams("load", day+11*hourMs, day+13*hourMs, 30_000)
	before := s.same(q)
	s.same(q)
	s.results(q, "hit 1 miss 1")
	if err := s.store.conn.Exec(t.Context(), "ALTER TABLE samples DROP PARTITION (0, "+seconds(day/(24*hourMs)*1000)+")"); err != nil {
		t.Fatal(err)
	}
	if err := s.store.conn.Exec(t.Context(), "ALTER TABLE histograms DROP PARTITION (0, "+seconds(day/(24*hourMs)*1000)+")"); err != nil {
		t.Fatal(err)
	}
	if after := s.same(q); after == before {
		t.Error("nothing has expired")
	}
}

// TestWhoMayNot asks for whom nothing that is remembered may be used, or what others remember.
func TestWhoMayNot(t *testing.T) {
	s := newScene(t)
	b := &store.Batch{}
	for _, one := range seriesOf("other") {
		s.points(b, one, s.nowMs-4*hourMs, s.nowMs-minuteMs)
	}
	s.write(b)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()})
	matcher := func(job string) context.Context {
		return tenant.WithMatchers(t.Context(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", job)})
	}
	seen := map[string]bool{}
	for range 2 {
		seen[s.same(q)] = true
		seen[s.same(q, tenant.Header, "other")] = true
		seen[s.same(q, tenant.Header, "other|"+store.DefaultTenant)] = true
		for _, job := range []string{"job0", "job1", "job2"} {
			seen[s.sameOf(matcher(job), q)] = true
		}
		seen[s.sameOf(tenant.WithMatchers(t.Context(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "job", "job0")}), q)] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d different answers for 7 different readers", len(seen))
	}
	s.results(q, "hit 7 miss 7")

	s.same(q, "Cache-Control", "max-age=0, No-Store")
	s.same(q, "Cache-Control", "no-cache")
	s.sameOf(store.WithFresh(t.Context()), q)
	s.results(q, "hit 7 miss 7 bypass 3")
	s.same(q, "X-MetricStream-Resolution", "raw")
	s.params.Set("lookback_delta", "10s")
	s.same(q)
	s.results(q, "hit 8 miss 8 bypass 3")

	// What comes late for one tenant is missed by nobody who reads it among others, and of no concern to the rest.
	s.params.Del("lookback_delta")
	late := &store.Batch{}
	d, _ := store.DecimalOf(123456, 0)
	for _, one := range seriesOf("other") {
		if one.Has == 0 {
			late.Samples.Append(one.Key, s.nowMs-2*hourMs+30*minuteMs, d) // of the second of three blocks
		}
	}
	s.write(late)
	q.cache.ForgetChanges()
	s.same(q)
	s.results(q, "hit 9 miss 8 bypass 3")
	if body := s.same(q, tenant.Header, "other|"+store.DefaultTenant); !strings.Contains(body, "123456") {
		t.Error("several tenants do not have the late sample of one")
	}
	s.results(q, "hit 9 partial 1 miss 8 bypass 3")
	if err := q.cache.Forget(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	s.same(q)
	s.same(q, tenant.Header, "other|"+store.DefaultTenant)
	s.results(q, "hit 10 partial 1 miss 9 bypass 3")
}

// TestExplain shows what was remembered.
func TestExplain(t *testing.T) {
	s := newScene(t)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()})
	ask := func(query string, startMs, endMs int64) string {
		p := rangeParams(query, startMs, endMs, 60_000)
		p.Set("explain", "1")
		_, body := q.ask(t.Context(), "/api/v1/query_range", p)
		return body
	}
	for i, want := range []string{`"result":"miss","steps":121,"remembered":0`, `"result":"hit","steps":121,"remembered":121`} {
		if body := ask("load", s.nowMs-3*hourMs, s.nowMs-hourMs); !strings.Contains(body, want) {
			t.Errorf("%d: %s", i, body[strings.Index(body, `"explain"`):])
		}
	}
	if body := ask("load", s.nowMs-2*hourMs, s.nowMs); !strings.Contains(body, `"result":"partial","steps":121,"remembered":61`) {
		t.Error(body[strings.Index(body, `"explain"`):])
	}
	if body := ask("sort(load)", s.nowMs-2*hourMs, s.nowMs); !strings.Contains(body, `"result":"bypass","why":"the function sort","steps":121`) {
		t.Error(body[strings.Index(body, `"explain"`):])
	}
}

// TestFarTimes asks of times for which nothing is kept.
func TestFarTimes(t *testing.T) {
	s := newScene(t)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig()})
	for _, p := range [][3]string{
		{"-1000", "1000", "60"}, {"0", "8e13", "8e9"}, {"9e15", "9.00007e15", "8e9"}, {"0", "1e11", "1e8"}, {"1e10", "1e10", "1"},
		{seconds(s.nowMs), seconds(s.nowMs + 1), "0.001"}, {seconds(s.nowMs), seconds(s.nowMs + 10*hourMs), "60"}, {"0", seconds(s.nowMs), "1000000"},
	} {
		s.params = url.Values{"query": {"load"}, "start": {p[0]}, "end": {p[1]}, "step": {p[2]}}
		s.same(q)
		s.same(q)
	}
}

// away cannot tell what has changed.
type away struct{}

func (away) Changes(context.Context, []uint32, int64, int64) (store.Changes, error) {
	return nil, errors.New("out of order")
}

func TestWithoutChangesEverythingIsComputed(t *testing.T) {
	s := newScene(t)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig(), changes: away{}})
	s.same(q)
	s.same(q)
	s.results(q, "bypass 2")
}

// TestCorruptRedis answers rightly whatever stands in Redis.
func TestCorruptRedis(t *testing.T) {
	s := newScene(t)
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address, DisableIdentity: true})
	defer client.Close()
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig(), redis: client})
	s.same(q)
	q.cache.ForgetLocally()
	s.same(q)
	s.results(q, "hit 1 miss 1")
	keys := client.Keys(t.Context(), "*").Val()
	if len(keys) < 2 {
		t.Fatalf("%d keys", len(keys))
	}
	first := client.Get(t.Context(), keys[0]).Val()
	if ttl := client.TTL(t.Context(), keys[0]).Val(); ttl <= 0 || ttl > cache.DefaultConfig().TTL {
		t.Errorf("kept for %v", ttl)
	}
	for _, value := range []string{"", "x", first[:len(first)/2], first + "x", strings.Repeat("\xff", 1000), first} {
		for _, key := range keys[1:] {
			client.Set(t.Context(), key, value, 0)
		}
		q.cache.ForgetLocally()
		s.same(q)
	}
	if n := q.count(t, "corrupt_total", ""); n < float64(6*(len(keys)-1)) {
		t.Errorf("%v were found to be corrupt", n)
	}

	if err := q.cache.Forget(t.Context(), "nobody"); err != nil || len(client.Keys(t.Context(), "*").Val()) != len(keys) {
		t.Errorf("forgot another tenant's answers, %v", err)
	}
	if err := q.cache.Forget(t.Context(), store.DefaultTenant); err != nil || len(client.Keys(t.Context(), "*").Val()) != 0 {
		t.Errorf("%v is still there, %v", client.Keys(t.Context(), "*").Val(), err)
	}
}

// TestRedisIsLeftAlone has a Redis that is away, and one that hangs: it is asked once, and again when some seconds have passed.
func TestRedisIsLeftAlone(t *testing.T) {
	s := newScene(t)
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	for name, address := range map[string]string{"away": testenv.FreeAddress(t), "hanging": hanging.Addr().String()} {
		t.Run(name, func(t *testing.T) { testLeftAlone(t, s, address) })
	}
}

func testLeftAlone(t *testing.T, s *scene, address string) {
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true})
	defer client.Close()
	now := time.UnixMilli(s.nowMs)
	q := newQuerier(t, setup{store: s.store, config: cache.DefaultConfig(), redis: client, now: func() time.Time { return now }})
	for i, want := range []float64{1, 1, 2, 2} {
		if i == 2 {
			now = now.Add(6 * time.Second)
		}
		q.cache.ForgetLocally()
		s.same(q)
		if n := q.count(t, "redis_errors_total", ""); n != want {
			t.Errorf("%d: it was asked %v times, want %v", i, n, want)
		}
	}
}
