package clickhouse_test

import (
	"math"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
)

const hourMs = 3_600_000

// sampleOf is a batch with one sample of a series of metric m.
func sampleOf(tenant, metric string, timeMs int64) (*store.Batch, store.Key) {
	ls := labels.FromStrings(labels.MetricName, metric)
	b := &store.Batch{Series: []store.Series{{Tenant: tenant, Key: store.KeyOf(tenant, ls), Labels: ls, MinMs: timeMs, MaxMs: timeMs}}}
	b.Samples.Append(b.Series[0].Key, timeMs, store.Decimal{Mant: 1})
	return b, b.Series[0].Key
}

// TestChangesTellWhatCameLate writes samples of several ages and looks which times are told to have changed, for whom.
func TestChangesTellWhatCameLate(t *testing.T) {
	s := open(t)
	write := func(b *store.Batch) {
		t.Helper()
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(metric uint32, fromMs, toMs int64) uint64 {
		t.Helper()
		c, err := s.Changes(t.Context(), []uint32{store.EverySeries, metric}, fromMs, toMs)
		if err != nil {
			t.Fatal(err)
		}
		return c.In(fromMs, toMs)
	}
	now := time.Now().UnixMilli()
	fresh, key := sampleOf("a", "m", now-store.LateAfterMs/2)
	write(fresh)
	if got := sum(key.Metric, 0, now); got != 0 {
		t.Errorf("a sample that is not late changed something: %d", got)
	}

	at := now - 50*hourMs
	late, _ := sampleOf("a", "m", at)
	write(late)
	first := sum(key.Metric, at, at)
	if first == 0 {
		t.Error("a late sample changed nothing")
	}
	if sum(key.Metric, at-3*hourMs, at-2*hourMs) != 0 || sum(key.Metric, at+2*hourMs, now) != 0 {
		t.Error("other hours changed")
	}
	if sum(store.MetricOf("b", "m"), at, at) != 0 || sum(store.MetricOf("a", "n"), at, at) != 0 {
		t.Error("other series changed")
	}
	write(late) // nobody can tell a replay from what is new
	second := sum(key.Metric, at, at)
	if second == first {
		t.Error("a replay did not change anything")
	}
	if err := s.Exec(t.Context(), "OPTIMIZE TABLE changes FINAL"); err != nil {
		t.Fatal(err)
	}
	if got := sum(key.Metric, at, at); got != second {
		t.Errorf("a merge changed %d to %d", second, got)
	}
	all, err := s.Changes(t.Context(), nil, at, at)
	if err != nil || all.In(at, at) != second {
		t.Errorf("of all metrics: %d, %v, want %d", all.In(at, at), err, second)
	}

	histogram := &store.Batch{Histograms: []store.Histogram{{Key: key, TimeMs: at - 20*hourMs}}}
	write(histogram)
	if sum(key.Metric, at-20*hourMs, at-20*hourMs) == 0 {
		t.Error("a late histogram changed nothing")
	}
	write(&store.Batch{Starts: []store.Start{{Key: key, TimeMs: at - 10*hourMs, StartMs: 1}}})
	if sum(key.Metric, now, now) == 0 || sum(key.Metric, at-12*hourMs, at-12*hourMs) != 0 {
		t.Error("a late start did not change all that is after it")
	}

	other := store.MetricOf("b", "m")
	before := sum(other, at, at)
	if err := s.ForgetAnswers(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Changes(t.Context(), []uint32{store.MetricOf("b", "")}, at, at); err != nil || c.In(at, at) == 0 || sum(other, at, at) != before {
		t.Errorf("a tenant was not forgotten, or another metric was: %v", err)
	}
}

// TestTooManyChangesAreToldOfMore writes late samples of very many hours or metrics.
func TestTooManyChangesAreToldOfMore(t *testing.T) {
	s := open(t)
	const n = 3000
	hours, metrics := &store.Batch{}, &store.Batch{}
	for i := range int64(n) {
		hours.Samples.Append(store.Key{Metric: 7, ID: 1}, i*hourMs, store.Decimal{})
		metrics.Samples.Append(store.Key{Metric: uint32(100 + i), ID: 1}, n*hourMs, store.Decimal{})
	}
	for _, b := range []*store.Batch{hours, metrics} {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		metric uint32
		hour   int64
		want   bool
	}{{7, 0, true}, {7, 1500, true}, {7, n - 1, true}, {7, n, false}, {8, 1500, false}, {store.EverySeries, n, true}, {store.EverySeries, n - 1, false}} {
		got, err := s.Changes(t.Context(), []uint32{c.metric}, c.hour*hourMs, c.hour*hourMs)
		if err != nil || (len(got) > 0) != c.want {
			t.Errorf("metric %d, hour %d: %v, %v", c.metric, c.hour, got, err)
		}
	}
	if all, err := s.Changes(t.Context(), nil, math.MinInt64, math.MaxInt64); err != nil || len(all) != 2 {
		t.Errorf("%d changes, %v", len(all), err)
	}
}

// TestTakingOverADayIsTold swaps a day with a shadow: whoever remembers answers about it, or about what may have begun on it, is
// told.
func TestTakingOverADayIsTold(t *testing.T) {
	s := startShadowed(t, open(t))
	s.damage(t)
	sums := func() (before, day, after uint64) {
		t.Helper()
		c, err := s.live.Changes(t.Context(), []uint32{store.EverySeries}, math.MinInt64, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		at := shadowDay.MinMs()
		return c.In(at-3*hourMs, at-2*hourMs), c.In(at+5*hourMs, at+6*hourMs), c.In(at+1000*hourMs, at+1001*hourMs)
	}
	before, day, after := sums()
	for name, take := range map[string]func() error{
		"add":     func() error { return s.shadow.Add(t.Context(), shadowDay) },
		"replace": func() error { return s.shadow.Replace(t.Context(), shadowDay) },
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		before2, day2, after2 := sums()
		if before2 != before || day2 == day || after2 == after {
			t.Errorf("%s: the sums were %d, %d, %d and are %d, %d, %d", name, before, day, after, before2, day2, after2)
		}
		day, after = day2, after2
	}
}
