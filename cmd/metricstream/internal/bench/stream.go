package bench

import (
	"context"
	"runtime"
	"time"
)

// stream is a shard's endless row of samples: round after round, its series in order.
type stream struct {
	w       *writer
	shard   int
	series  []feed
	encoder encoder

	round int64
	next  int // index into series
}

// request is one built request. It is valid until its shard builds the next.
type request struct {
	compressed []byte
	rawBytes   int // before snappy
	samples    int
	lastMs     int64     // timestamp of its last sample
	from       time.Time // when it is meant to leave; zero flat out
}

// build takes the next samples into a request: none when the run ends here, fewer when it ends on the way. It waits
// when the shard is too far ahead of the others.
func (s *stream) build(ctx context.Context, samples int, t *tally) (request, error) {
	through := s.round + int64((s.next+samples-1)/len(s.series))
	end, err := s.w.convoy.enter(ctx, s.shard, s.round, through)
	if err != nil {
		return request{}, err
	}
	// The thread's own clock tells what building costs, whoever else is on this core.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadCPU()
	lastMs := int64(0)
	s.encoder.reset()
	added := 0
	for ; added < samples && s.round < end; added++ {
		one := &s.series[s.next]
		lastMs = s.w.line.at(s.round, one.offset)
		s.encoder.add(one, lastMs, one.walk.next())
		if s.next++; s.next == len(s.series) {
			s.next, s.round = 0, s.round+1
		}
	}
	compressed, raw := s.encoder.request()
	t.buildCPU += threadCPU() - began
	return request{compressed: compressed, rawBytes: raw, samples: added, lastMs: lastMs}, nil
}

// pace says when a shard's requests are meant to leave.
type pace struct {
	began   time.Time
	samples int           // in a request
	every   time.Duration // between two requests; 0: flat out
	shift   time.Duration // of this shard, so that shards do not send all at once
}

// newPace spreads the rate over the shards by their series.
func newPace(o *WriteOptions, shard, series int, began time.Time) pace {
	p := pace{began: began, samples: o.SamplesPerRequest}
	if o.Rate == 0 {
		return p
	}
	rate := o.Rate * float64(series) / float64(o.Series)
	p.samples = max(1, min(p.samples, int(rate*batchDeadline.Seconds())))
	p.every = time.Duration(float64(p.samples) / rate * float64(time.Second))
	p.shift = p.every * time.Duration(shard) / time.Duration(o.Shards)
	return p
}

// intended returns when request n is meant to leave: when the last of its samples has been scraped. Flat out
// there is no such time.
func (p pace) intended(n int64) (time.Time, bool) {
	if p.every == 0 {
		return time.Time{}, false
	}
	return p.began.Add(time.Duration(n+1)*p.every + p.shift), true
}
