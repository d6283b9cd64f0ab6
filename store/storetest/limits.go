package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/metricstream/metricstream/store"
)

var limitCases = []testCase{
	{"samples", limitSamples},
	{"series", limitSeries},
	{"an error of yield ends the selection", yieldError},
	{"an ended context ends the selection", endedContext},
}

func limitSamples(f *fixture) {
	b := f.batch()
	for i := range int64(10) {
		b.sample(metric("m", "i", fmt.Sprint(i%2)), baseMs+i, 1)
	}
	b.histogram(metric("h"), baseMs, intHistogram(1))
	f.write(b)
	sel := f.all()
	sel.MaxSamples = 11
	if n := len(f.read(sel)); n != 3 {
		f.Errorf("%d series", n)
	}
	sel.MaxSamples = 9
	if _, err := collect(f.store, sel); store.KindOf(err) != store.KindLimit {
		f.Errorf("more samples than the limit: %v", err)
	}
	sel.MaxSamples, sel.MinMs, sel.MaxMs = 5, baseMs+5, baseMs+9
	if n := len(f.read(sel)); n != 2 {
		f.Errorf("%d series within the time and the limit", n)
	}
}

func limitSeries(f *fixture) {
	b := f.batch()
	for i := range 5 {
		b.sample(metric("m", "i", fmt.Sprint(i)), baseMs, 1)
	}
	f.write(b)
	sel := f.all()
	sel.MaxSeries = 5
	if n := len(f.read(sel)); n != 5 {
		f.Errorf("%d series", n)
	}
	if series, err := f.store.Series(f.Context(), sel); err != nil || len(series) != 5 {
		f.Errorf("series %v, %v", series, err)
	}
	sel.MaxSeries = 4
	if _, err := collect(f.store, sel); store.KindOf(err) != store.KindLimit {
		f.Errorf("select of more series than the limit: %v", err)
	}
	if _, err := f.store.Series(f.Context(), sel); store.KindOf(err) != store.KindLimit {
		f.Errorf("more series than the limit: %v", err)
	}
}

func yieldError(f *fixture) {
	b := f.batch()
	for i := range 50 {
		b.sample(metric("m", "i", fmt.Sprint(i)), baseMs, 1)
	}
	f.write(b)
	mine := errors.New("mine")
	calls := 0
	err := f.store.Select(context.Background(), f.all(), func(*store.SeriesData) error {
		calls++
		if calls == 3 {
			return mine
		}
		return nil
	})
	if err != mine || calls != 3 {
		f.Errorf("Select returned %v after %d calls", err, calls)
	}
	if n := len(f.read(f.all())); n != 50 {
		f.Errorf("%d series afterwards", n)
	}
}

func endedContext(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.store.Select(ctx, f.all(), func(*store.SeriesData) error { return nil }); err == nil {
		f.Error("no error")
	}
}
