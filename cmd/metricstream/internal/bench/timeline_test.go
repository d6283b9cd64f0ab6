package bench

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"
)

func TestTimelineEndsBeforeNow(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	for _, rate := range []float64{0, 100_000} {
		o := DefaultWriteOptions()
		o.Rate = rate
		line, err := newTimeline(&o, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		speed := rate
		if rate == 0 {
			speed = assumedMostPerSecond
		}
		rounds := int64(o.Duration.Seconds() * speed / float64(o.Series))
		if last := line.at(rounds-1, 0.999); last > now.UnixMilli() {
			t.Errorf("rate %g: the last timestamp is %d ms after now", rate, last-now.UnixMilli())
		}
	}
}

func TestTimestampsAdvanceByTheInterval(t *testing.T) {
	line := timeline{baseMs: 1000, intervalMs: 15_000}
	if got := line.at(3, 0.5) - line.at(2, 0.5); got != 15_000 {
		t.Errorf("the step is %d ms, want 15000", got)
	}
	if got := line.at(0, 0.5); got != 8500 {
		t.Errorf("half through the fleet the first timestamp is %d, want 8500", got)
	}
}

func TestTimelineStarts(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	cases := []struct {
		start string
		want  int64
	}{
		{"6h", now.Add(-6 * time.Hour).UnixMilli()},
		{"1700000000", 1_700_000_000_000},
		{"2026-01-02T03:04:05Z", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()},
		{"now", now.UnixMilli()},
	}
	for _, c := range cases {
		o := DefaultWriteOptions()
		o.Start = c.start
		line, err := newTimeline(&o, nil, now)
		if err != nil || line.baseMs != c.want {
			t.Errorf("start %s: base %d (%v), want %d", c.start, line.baseMs, err, c.want)
		}
	}
	o := DefaultWriteOptions()
	o.Start = "yesterday"
	if _, err := newTimeline(&o, nil, now); err == nil {
		t.Error("start yesterday is accepted")
	}
	o = DefaultWriteOptions()
	o.Series, o.Shards = 1, 1
	if line, err := newTimeline(&o, nil, now); err != nil || line.baseMs != now.Add(-furthestBack).UnixMilli() {
		t.Errorf("a flat-out run of few series begins at %d (%v), want %s ago", line.baseMs, err, furthestBack)
	}
	o.Rate = 1e6
	if _, err := newTimeline(&o, nil, now); err == nil {
		t.Error("a paced run that needs centuries of timestamps is accepted")
	}
	o = DefaultWriteOptions()
	o.Series = 1_000_000
	if line, err := newTimeline(&o, nil, now); err != nil || line.baseMs <= now.Add(-furthestBack).UnixMilli() {
		t.Errorf("a run of many series begins at %d (%v)", line.baseMs, err)
	}
	o = DefaultWriteOptions()
	o.Rate = 1e6
	if _, err := newTimeline(&o, &WriteReport{NextMs: now.UnixMilli() - 1000}, now); err == nil {
		t.Error("a run that would reach the future is accepted")
	}
}

func TestPaceSpreadsTheRate(t *testing.T) {
	began := time.UnixMilli(0)
	o := DefaultWriteOptions()
	o.Rate, o.Shards, o.Series = 100_000, 4, 10_000
	sent := 0
	for shard := range o.Shards {
		p := newPace(&o, shard, o.Series/o.Shards, began)
		for n := int64(0); ; n++ {
			at, paced := p.intended(n)
			if !paced {
				t.Fatal("a rate gives no intended times")
			}
			if at.Sub(began) > 10*time.Second {
				break
			}
			sent += p.samples
		}
	}
	if want := 1e6; math.Abs(float64(sent)-want) > 0.01*want {
		t.Errorf("%d samples are meant for ten seconds, want about %g", sent, want)
	}
	o.Rate = 0
	if _, paced := newPace(&o, 0, 2500, began).intended(0); paced {
		t.Error("flat out has intended times")
	}
}

// At a low rate a request leaves when Prometheus' batch deadline would send it, not when it is full.
func TestPaceKeepsTheBatchDeadline(t *testing.T) {
	o := DefaultWriteOptions()
	o.Rate, o.Shards, o.Series = 100, 1, 1000
	if p := newPace(&o, 0, 1000, time.Now()); p.samples != 500 || p.every != batchDeadline {
		t.Errorf("%d samples every %s, want 500 every %s", p.samples, p.every, batchDeadline)
	}
}

func TestConvoyHoldsTheFastAndEndsTogether(t *testing.T) {
	const shards, ahead = 4, 3
	c := newConvoy(shards, ahead)
	var mu sync.Mutex
	at := make([]int64, shards)
	var wg sync.WaitGroup
	for shard := range shards {
		wg.Go(func() {
			defer c.leave(shard)
			for round := int64(0); ; round++ {
				end, err := c.enter(context.Background(), shard, round, round)
				if err != nil {
					t.Error(err)
					return
				}
				if round >= end {
					return
				}
				mu.Lock()
				at[shard] = round
				for _, other := range at {
					if round > other+ahead+1 {
						t.Errorf("shard %d is in round %d while another is in %d", shard, round, other)
					}
				}
				mu.Unlock()
				if shard == 2 && round == 50 {
					c.finish()
				}
			}
		})
	}
	wg.Wait()
	for shard, round := range at {
		if round != at[0] || round < 50 {
			t.Errorf("shard %d ended with round %d, shard 0 with %d", shard, round, at[0])
		}
	}
	if c.sentBefore() != at[0]+1 {
		t.Errorf("rounds before %d are sent, want %d", c.sentBefore(), at[0]+1)
	}
}

func TestConvoyWaitEndsWithTheContext(t *testing.T) {
	c := newConvoy(2, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.enter(ctx, 0, 9, 9); err == nil {
		t.Error("a shard far ahead did not wait")
	}
}
