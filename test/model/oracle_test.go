package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/metricstream/metricstream/store"
)

// population are the series that are written. The tables refuse every sample of the last.
var population = func() []store.Series {
	all := make([]store.Series, poison+1)
	for i := range all {
		ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i/3), "instance", fmt.Sprint(i))
		all[i] = store.Series{Tenant: "t", Key: store.KeyOf("t", ls), Labels: ls}
	}
	return all
}()

const poison = 9

// sample is a sample of a series of the population.
type sample struct {
	series int
	timeMs int64
	value  float64
}

// point is where a sample is.
type point struct {
	key    store.Key
	timeMs int64
}

func (s sample) point() point { return point{population[s.series].Key, s.timeMs} }

// oracle knows what was sent and what was acknowledged. The world's lock guards it.
type oracle struct {
	sent  map[point][]float64
	acked map[point][]promise
	last  []sample
}

// promise is an acknowledged value, and of which topic the acknowledgement is.
type promise struct {
	value  float64
	losses int
}

func newOracle() oracle {
	return oracle{sent: map[point][]float64{}, acked: map[point][]promise{}}
}

func (w *world) nowMs() int64 { return time.Now().UnixMilli() }

// request makes the samples of one request: mostly new ones, some late, some of a time that was sent before.
func (w *world) request(r *rand.Rand) []sample {
	var samples []sample
	for range 1 + r.IntN(3) {
		s := sample{series: r.IntN(poison), timeMs: w.nowMs()}
		for range 1 + r.IntN(2) {
			s.value = values[r.IntN(len(values))]
			switch n := len(w.oracle.last); {
			case r.IntN(6) == 0:
				s.timeMs -= int64(r.IntN(5)) * dayMs
			case r.IntN(6) == 0 && n > 0: // another value, perhaps
				again := w.oracle.last[r.IntN(n)]
				s.series, s.timeMs = again.series, again.timeMs
			default:
				s.timeMs -= int64(r.IntN(100_000))
			}
			samples = append(samples, s)
		}
	}
	return samples
}

var values = []float64{0, 1, 2, 2.5, 100, 0.125, -7, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN)}

// send is a sender: it sends the samples to a receiver, again and again until one acknowledges them or it gives up.
// The world's lock is held.
func (w *world) send(samples []sample, r *rand.Rand) {
	for _, s := range samples {
		if s.series != poison {
			w.oracle.last = append(w.oracle.last, s)
		}
		w.oracle.sent[s.point()] = append(w.oracle.sent[s.point()], s.value)
	}
	patience := 3 + r.IntN(50)
	w.senders.Go(func() {
		for attempt := 0; ; attempt++ {
			w.mu.Lock()
			to, losses, healing := w.receivers[r.IntN(receivers)], w.log.losses, w.healing
			knew := to != nil && to.knows == w.log.topics && to.since.Before(time.Now())
			w.mu.Unlock()
			if to != nil {
				err := to.producer.Write(w.ctx, batch(samples, r))
				w.mu.Lock()
				if err == nil && !to.dead {
					w.oracle.ack(w, samples, losses, knew)
					w.mu.Unlock()
					return
				}
				w.mu.Unlock()
			}
			if attempt > patience && !healing {
				return
			}
			time.Sleep(time.Duration(30+r.IntN(1000)) * time.Millisecond)
		}
	})
}

// batch makes what a receiver makes of a request. How many decimals it gives a value depends on what it remembers of
// the series.
func batch(samples []sample, r *rand.Rand) *store.Batch {
	b := &store.Batch{}
	at := map[int]int{}
	for _, s := range samples {
		i, ok := at[s.series]
		if !ok {
			i = len(b.Series)
			at[s.series] = i
			n := population[s.series]
			n.MinMs, n.MaxMs = s.timeMs, s.timeMs
			b.Series = append(b.Series, n)
		}
		n := &b.Series[i]
		n.MinMs, n.MaxMs = min(n.MinMs, s.timeMs), max(n.MaxMs, s.timeMs)
		d, _ := store.DecimalOf(s.value, uint8(r.IntN(3)))
		b.Samples.Append(n.Key, s.timeMs, d)
	}
	return b
}

// ack makes promises of samples. Those of a log that has been lost since are none, nor are those of a receiver that did
// not know yet of a new topic when it began to write: their label sets may come with the next samples only.
func (o *oracle) ack(w *world, samples []sample, losses int, knew bool) {
	if losses != w.log.losses || !knew {
		return
	}
	for _, s := range samples {
		if s.series != poison {
			o.acked[s.point()] = append(o.acked[s.point()], promise{s.value, losses})
		}
	}
}

// release drops the promises of topics that are lost where the tables do not show them.
func (o *oracle) release(w *world) {
	visible := w.tables.visible()
	for p, promises := range o.acked {
		kept := promises[:0]
		for _, a := range promises {
			got, ok := visible[p]
			if a.losses == w.log.losses || ok && !store.Prefer(got, a.value) {
				kept = append(kept, a)
			}
		}
		o.acked[p] = kept
	}
}

// compare tells what the tables show that they should not, and the other way round.
func (w *world) compare() {
	visible := w.tables.visible()
	for p, promises := range w.oracle.acked {
		for _, a := range promises {
			got, ok := visible[p]
			if !ok {
				w.fail("an acknowledged sample is not visible: %s at %d (%v)", name(p.key), p.timeMs, a.value)
			} else if store.Prefer(got, a.value) {
				w.fail("%s at %d shows %v, and %v was acknowledged", name(p.key), p.timeMs, got, a.value)
			}
		}
	}
	for p, got := range visible {
		if !contains(w.oracle.sent[p], got) {
			w.fail("%s at %d shows %v, which was never sent", name(p.key), p.timeMs, got)
		}
	}
	w.compareLetters()
}

func contains(values []float64, v float64) bool {
	for _, o := range values {
		if math.Float64bits(o) == math.Float64bits(v) {
			return true
		}
	}
	return false
}

func name(k store.Key) string {
	for i := range population {
		if population[i].Key == k {
			return population[i].Labels.String()
		}
	}
	return fmt.Sprint("unknown series ", k)
}
