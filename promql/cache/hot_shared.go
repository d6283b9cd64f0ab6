package cache

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"
	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/redis/go-redis/v9"
)

const (
	// nearNow is how far from now the time of an instant query may be for its answer to be kept in Redis: of a time long
	// ago nobody else asks just now.
	nearNow = 2 * time.Second

	// hotSuffix tells the keys of these answers from those of blocks.
	hotSuffix = ":hot"
)

// hotShared is what Redis says about an answer.
type hotShared struct {
	vector prom.Vector   // nil for none
	age    time.Duration // of its evaluation's begin

	// atMs is Redis' clock, which alone counts how old an answer is; 0 where it did not say.
	atMs int64
}

// hot returns the answer under a key that another querier has evaluated within the last second.
func (s *shared) hot(ctx context.Context, key string) (h hotShared) {
	if s.paused() {
		return h
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	begin := s.now()
	pipe := s.client.Pipeline()
	kept, clock := pipe.Get(ctx, key), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		s.failed(err)
		return h
	}
	s.metrics.sharedUp.Set(1)
	h.atMs = clock.Val().UnixMilli()
	if kept.Err() != nil {
		return h
	}
	e, err := unpack(key, []byte(kept.Val()))
	if err == nil {
		h.vector, err = vectorOf(e)
	}
	if err != nil {
		s.metrics.corrupt.Inc()
		return h
	}
	// What the exchange took is counted twice rather than not at all.
	h.age = time.Duration(h.atMs-e.madeMs)*time.Millisecond + s.now().Sub(begin)
	if h.age < 0 || h.age >= hotAge {
		h.vector = nil
	}
	return h
}

// putHot keeps an answer whose evaluation began after a time of Redis' clock, where it is a vector.
func (s *shared) putHot(ctx context.Context, key string, answer parser.Value, atMs int64) {
	if v, ok := answer.(prom.Vector); ok {
		s.put(ctx, []string{key}, []*entry{entryOf(key, v, atMs)}, 2*hotAge)
	}
}

// entryOf makes an entry of a vector, of which all samples have one time.
func entryOf(key string, v prom.Vector, madeMs int64) *entry {
	e := entry{step: 1, madeMs: madeMs}
	series := make([]prom.Series, len(v))
	for i, s := range v {
		e.times = span{s.T, s.T}
		series[i].Metric = s.Metric
		if s.H != nil {
			series[i].Histograms = []prom.HPoint{{T: s.T, H: s.H}}
		} else {
			series[i].Floats = []prom.FPoint{{T: s.T, F: s.F}}
		}
	}
	return encode(key, e, series)
}

// vectorOf returns the vector of an entry, in its order.
func vectorOf(e *entry) (prom.Vector, error) {
	var all []*prom.Series
	err := e.each(e.times, func(b []byte) (*prom.Series, error) {
		ls, err := parseLabels(b)
		all = append(all, &prom.Series{Metric: ls})
		return all[len(all)-1], err
	})
	if err != nil {
		return nil, err
	}
	v := make(prom.Vector, 0, len(all))
	for _, s := range all {
		switch {
		case len(s.Floats) == 1 && len(s.Histograms) == 0:
			v = append(v, prom.Sample{Metric: s.Metric, T: s.Floats[0].T, F: s.Floats[0].F})
		case len(s.Histograms) == 1 && len(s.Floats) == 0:
			v = append(v, prom.Sample{Metric: s.Metric, T: s.Histograms[0].T, H: s.Histograms[0].H})
		default:
			return nil, errCorrupt
		}
	}
	return v, nil
}

// near reports whether a time is about now.
func (h *hot) near(t time.Time) bool {
	d := timestamp.FromTime(h.now()) - timestamp.FromTime(t)
	return max(d, -d) <= nearNow.Milliseconds()
}
