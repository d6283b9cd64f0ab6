package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"github.com/metricstream/metricstream/promql"
	"github.com/metricstream/metricstream/promql/adapter"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// filled returns a store where tenant t has n series m{i="0"} ... with two samples each, at 1000 and 2000.
func filled(t *testing.T, id string, n int) *memory.Store {
	t.Helper()
	s := memory.New()
	b := &store.Batch{}
	for i := range n {
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
		key := store.KeyOf(id, ls)
		b.Series = append(b.Series, store.Series{Tenant: id, Key: key, Labels: ls, MinMs: 1000, MaxMs: 2000})
		b.Samples.Append(key, 1000, store.Decimal{Mant: int64(i)})
		b.Samples.Append(key, 2000, store.Decimal{Mant: int64(-i)})
	}
	if err := s.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

var anyName = labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")

func openQuerier(t *testing.T, r store.Reader, l adapter.Limits) storage.Querier {
	t.Helper()
	q, err := adapter.NewQueryable(r, l).Querier(0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// read writes a series set as text.
func read(set storage.SeriesSet) (string, error) {
	out := ""
	for set.Next() {
		out += set.At().Labels().Get("i")
		for it := set.At().Iterator(nil); it.Next() == chunkenc.ValFloat; {
			at, v := it.At()
			out += fmt.Sprintf(" %d=%v", at, v)
		}
		out += ";"
	}
	return out, set.Err()
}

func TestSelect(t *testing.T) {
	q := openQuerier(t, filled(t, "a", 12), adapter.Limits{})
	ctx := tenant.NewContext(context.Background(), "a")
	one := labels.MustNewMatcher(labels.MatchRegexp, "i", "1.?|5")
	for _, c := range []struct {
		hints *storage.SelectHints
		want  string
	}{
		{nil, "1 1000=1 2000=-1;10 1000=10 2000=-10;11 1000=11 2000=-11;5 1000=5 2000=-5;"},
		{&storage.SelectHints{Start: 1001, End: 3000}, "1 2000=-1;10 2000=-10;11 2000=-11;5 2000=-5;"},
		{&storage.SelectHints{Start: 1001, End: 3000, Func: "sum", Grouping: []string{"i"}, By: true}, "1 2000=-1;10 2000=-10;11 2000=-11;5 2000=-5;"},
		{&storage.SelectHints{Start: 2000, End: 2000}, "1 2000=-1;10 2000=-10;11 2000=-11;5 2000=-5;"},
		{&storage.SelectHints{Start: 500, End: 1000}, "1 1000=1;10 1000=10;11 1000=11;5 1000=5;"},
		{&storage.SelectHints{Start: 2001, End: 3000}, ""},
		{&storage.SelectHints{Start: 0, End: 3000, Func: "series"}, "1;10;11;5;"},
		{&storage.SelectHints{Start: 0, End: 3000, Func: "series", Limit: 2}, "1;10;"},
	} {
		if got, err := read(q.Select(ctx, false, c.hints, anyName, one)); err != nil || got != c.want {
			t.Errorf("hints %+v: %q, %v; wanted %q", c.hints, got, err, c.want)
		}
	}
	if got, err := read(q.Select(tenant.NewContext(ctx, "b"), true, nil, anyName)); err != nil || got != "" {
		t.Errorf("another tenant reads %q, %v", got, err)
	}
	if names, _, err := q.LabelNames(ctx, nil); err != nil || fmt.Sprint(names) != "[__name__ i]" {
		t.Errorf("label names %v, %v", names, err)
	}
	if values, _, err := q.LabelValues(ctx, "i", &storage.LabelHints{Limit: 3}, one); err != nil || fmt.Sprint(values) != "[1 10 11]" {
		t.Errorf("label values %v, %v", values, err)
	}
}

// readerFunc is a reader of which only Select is used.
type readerFunc func(context.Context, store.Selection, func(*store.SeriesData) error) error

func (f readerFunc) Select(ctx context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
	return f(ctx, s, yield)
}
func (f readerFunc) Series(context.Context, store.Selection) ([]labels.Labels, error) {
	return nil, errors.New("samples were wanted")
}
func (f readerFunc) LabelNames(context.Context, store.Selection) ([]string, error) { return nil, nil }
func (f readerFunc) LabelValues(context.Context, string, store.Selection) ([]string, error) {
	return nil, nil
}

// TestSelectorsReadAtOnce: no selector waits for another, and Select itself does not wait.
func TestSelectorsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := readerFunc(func(context.Context, store.Selection, func(*store.SeriesData) error) error {
			time.Sleep(time.Second)
			return nil
		})
		engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
		began := time.Now()
		q, err := engine.NewInstantQuery(context.Background(), adapter.NewQueryable(slow, adapter.Limits{}), nil, "a + b + rate(c[5m]) + d", time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Exec(context.Background()).Err; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("four selectors of a second took %v", took)
		}
	})
}

// TestCloseEndsReads: a querier that is closed leaves no read behind.
func TestCloseEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		endless := readerFunc(func(ctx context.Context, _ store.Selection, _ func(*store.SeriesData) error) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return ctx.Err()
		})
		q, err := adapter.NewQueryable(endless, adapter.Limits{}).Querier(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		set := q.Select(context.Background(), false, nil, anyName)
		if err := q.Close(); err != nil || !ended {
			t.Errorf("Close returned %v, the read has ended: %t", err, ended)
		}
		var canceled prom.ErrQueryCanceled
		if set.Next() || !errors.As(set.Err(), &canceled) {
			t.Errorf("the set has the error %v", set.Err())
		}
	})
}

// evaluate runs a query of two selectors.
func evaluate(ctx context.Context, r store.Reader, l adapter.Limits) error {
	engine := promql.NewEngine(promql.DefaultConfig(), nil, nil)
	q, err := engine.NewInstantQuery(ctx, adapter.NewQueryable(r, l), nil, `sum(m) + sum(max_over_time(m[1m]))`, time.Unix(2, 0))
	if err != nil {
		return err
	}
	defer q.Close()
	return q.Exec(ctx).Err
}

// TestLimits: the limits hold for all selectors of a query together, and their errors are found through the
// engine's wrapping.
func TestLimits(t *testing.T) {
	s := filled(t, "a", 10)
	ctx := tenant.NewContext(context.Background(), "a")
	for _, c := range []struct {
		limits adapter.Limits
		fits   bool
	}{
		{adapter.Limits{}, true},
		{adapter.Limits{MaxSeries: 20, MaxSamples: 40}, true},
		{adapter.Limits{MaxSeries: 19}, false},
		{adapter.Limits{MaxSeries: 9}, false},
		{adapter.Limits{MaxSamples: 39}, false},
		{adapter.Limits{MaxSamples: 19}, false},
	} {
		err := evaluate(ctx, s, c.limits)
		if (err == nil) != c.fits || err != nil && store.KindOf(err) != store.KindLimit {
			t.Errorf("limits %+v: %v of kind %v", c.limits, err, store.KindOf(err))
		}
		var fault prom.ErrStorage
		if errors.As(err, &fault) {
			t.Errorf("limits %+v: %v is called the store's fault", c.limits, err)
		}
	}
}

// TestErrors: what the reader returns can be told apart behind the engine.
func TestErrors(t *testing.T) {
	failing := func(err error) store.Reader {
		return readerFunc(func(ctx context.Context, _ store.Selection, _ func(*store.SeriesData) error) error {
			if err == nil {
				<-ctx.Done()
				return fmt.Errorf("cannot read: %w", ctx.Err())
			}
			return err
		})
	}
	var fault prom.ErrStorage
	if err := evaluate(context.Background(), failing(io.ErrUnexpectedEOF), adapter.Limits{}); !errors.As(err, &fault) || !errors.Is(fault.Err, io.ErrUnexpectedEOF) {
		t.Errorf("a fault of the store: %v", err)
	}
	if err := evaluate(context.Background(), failing(store.Invalidf("bad")), adapter.Limits{}); store.KindOf(err) != store.KindInvalid || errors.As(err, &fault) {
		t.Errorf("a fault of the query: %v", err)
	}
	panics := readerFunc(func(context.Context, store.Selection, func(*store.SeriesData) error) error {
		var nothing *store.SeriesData
		return errors.New(nothing.Labels.String())
	})
	if err := evaluate(context.Background(), panics, adapter.Limits{}); !errors.As(err, &fault) || !strings.Contains(fault.Error(), "at queryable_test.go:") {
		t.Errorf("a panic: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	var timeout prom.ErrQueryTimeout
	if err := evaluate(ctx, failing(nil), adapter.Limits{}); !errors.As(err, &timeout) {
		t.Errorf("a context that timed out: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, stop)
	var canceled prom.ErrQueryCanceled
	if err := evaluate(ctx, failing(nil), adapter.Limits{}); !errors.As(err, &canceled) {
		t.Errorf("a context that was canceled: %v", err)
	}
}

// TestPreviousHistogram: the first histogram of a selection is compared with the one before it, which is read for
// that alone; that this read comes to a limit is no error.
func TestPreviousHistogram(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(yield func(*store.SeriesData) error) error
		want   histogram.CounterResetHint
	}{
		{"nothing before", func(func(*store.SeriesData) error) error { return nil }, histogram.UnknownCounterReset},
		{"a smaller one before", func(yield func(*store.SeriesData) error) error { return yield(oneHistogram(-5, 1)) }, histogram.NotCounterReset},
		{"a greater one before", func(yield func(*store.SeriesData) error) error { return yield(oneHistogram(-5, 9)) }, histogram.UnknownCounterReset},
		{"a limit", func(func(*store.SeriesData) error) error { return store.Limitf("too many") }, histogram.UnknownCounterReset},
	} {
		reads := 0
		q := openQuerier(t, readerFunc(func(_ context.Context, s store.Selection, yield func(*store.SeriesData) error) error {
			reads++
			if s.MaxMs < 0 {
				return c.before(yield)
			}
			return yield(oneHistogram(5, 5))
		}), adapter.Limits{})
		set := q.Select(context.Background(), false, nil, anyName)
		if !set.Next() {
			t.Fatalf("%s: %v", c.name, set.Err())
		}
		it := set.At().Iterator(nil)
		it.Next()
		if _, h := it.AtFloatHistogram(nil); h.CounterResetHint != c.want || reads != 2 {
			t.Errorf("%s: the hint is %v after %d reads", c.name, h.CounterResetHint, reads)
		}
	}
}

func oneHistogram(timeMs int64, count uint64) *store.SeriesData {
	return &store.SeriesData{Labels: labels.FromStrings("__name__", "h"), Histograms: []store.HistogramPoint{{TimeMs: timeMs, Int: &histogram.Histogram{Count: count}}}}
}
