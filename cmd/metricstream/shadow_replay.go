package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// shadowReplay reads the log into the shadow. Of each partition the shadow holds one run of offsets, which only ever
// grows at its end: so it is always known what it holds.
type shadowReplay struct {
	node    *node
	archive *kafka.Archive
	shadow  *clickhouse.Shadow
	spans   []clickhouse.ShadowSpan
}

// run is `metricstream replay --shadow`.
func (r *shadowReplay) run(ctx context.Context, flags *replaySpan, from, to kafka.Position) error {
	var err error
	if r.spans, err = r.shadow.Spans(ctx, r.archive.Topic()); err != nil {
		return err
	}
	switch {
	case len(r.spans) == 0:
		err = r.begin(ctx, from)
	case flags.fromGiven:
		err = store.Invalidf("the shadow has begun already, with %s: leave --from out to go on, or run `metricstream shadow drop` first to begin anew", showSpans(r.spans))
	}
	if err != nil {
		return err
	}
	if err := r.advance(ctx, to); err != nil {
		fmt.Println("To go on: metricstream replay --shadow")
		return err
	}
	fmt.Printf("The shadow, database %s, holds %s. To look at it: metricstream shadow diff\n", r.shadow.Name(), showSpans(r.spans))
	return nil
}

// begin records where the shadow begins in every partition. A partition that --from does not name begins at its end.
func (r *shadowReplay) begin(ctx context.Context, from kafka.Position) error {
	_, next, err := r.archive.Bounds()
	if err != nil {
		return err
	}
	begin, err := r.archive.Offsets(from)
	if err != nil {
		return err
	}
	generation, err := r.archive.Generation(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for p := range int32(r.archive.Partitions()) {
		s := clickhouse.ShadowSpan{Partition: p, From: next[p], FromMs: now.UnixMilli(), Generation: generation}
		if offset, named := begin[p]; named {
			at, err := r.archive.Arrival(ctx, p, offset, now)
			if err != nil {
				return err
			}
			s.From, s.FromMs = offset, at.UnixMilli()
		}
		s.Next = s.From
		r.spans = append(r.spans, s)
	}
	return r.shadow.SetSpans(ctx, r.archive.Topic(), r.spans)
}

// advance reads the log on from where the shadow ends.
func (r *shadowReplay) advance(ctx context.Context, to kafka.Position) error {
	span, err := r.rest(ctx, to)
	if err != nil {
		return err
	}
	leftOut := int64(0)
	_, err = r.node.replay(ctx, r.archive, span, r.shadow.Store(), func(p kafka.ReplayProgress) error {
		more := p.Unreadable + p.Refused - leftOut
		leftOut += more
		failpoint.Hit("replay/before-span")
		return r.record(ctx, span, p.Rest, more)
	})
	return err
}

// rest is what the log has behind the shadow's end.
func (r *shadowReplay) rest(ctx context.Context, to kafka.Position) (kafka.Span, error) {
	span := kafka.Span{From: map[int32]int64{}, To: map[int32]int64{}}
	oldest, next, err := r.archive.Bounds()
	if err != nil {
		return span, err
	}
	end, err := r.archive.Offsets(to)
	if err != nil {
		return span, err
	}
	generation, err := r.archive.Generation(ctx)
	if err != nil {
		return span, err
	}
	for _, s := range r.spans {
		p := s.Partition
		if s.Generation != generation {
			return span, store.Invalidf("the topic is another one than the shadow was read from: run `metricstream shadow drop` and begin anew")
		}
		if s.Next < oldest[p] || s.Next > next[p] {
			return span, store.Invalidf("the shadow cannot go on at offset %d of partition %d, the log holds %d to %d: run `metricstream shadow drop` and begin anew", s.Next, p, oldest[p], next[p])
		}
		if to, named := end[p]; named && s.Next < to {
			span.From[p], span.To[p] = s.Next, to
		}
	}
	return span, nil
}

// record remembers how far the shadow has come; a ClickHouse that is not available is waited for.
func (r *shadowReplay) record(ctx context.Context, span, rest kafka.Span, leftOut int64) error {
	var changed []clickhouse.ShadowSpan
	for i := range r.spans {
		s := &r.spans[i]
		end, replayed := span.To[s.Partition]
		if !replayed {
			continue
		}
		if from, unfinished := rest.From[s.Partition]; unfinished {
			end = from
		}
		if end == s.Next {
			continue
		}
		s.Next = end
		s.LeftOut += leftOut
		changed = append(changed, *s)
	}
	return r.node.retry(ctx, theTables, func() error { return r.shadow.SetSpans(ctx, r.archive.Topic(), changed) })
}

// arrivalMargin is how far a sample's time may be ahead of the time of its record, beside what receivers allow: clocks
// of several machines have a part in both.
const arrivalMargin = time.Hour

// completeFrom returns the time from which on the shadow has every sample, as far as it has read the log: later ones
// cannot have arrived before its begin. Where it has left records out there is no such time.
func completeFrom(spans []clickhouse.ShadowSpan, maxFuture time.Duration) (int64, error) {
	from := int64(math.MinInt64)
	for _, s := range spans {
		if s.LeftOut > 0 {
			return math.MaxInt64, store.Invalidf("%d records of partition %d could not be read or were refused, so nobody knows what only the live tables have of them", s.LeftOut, s.Partition)
		}
		from = max(from, s.FromMs+(arrivalMargin+maxFuture).Milliseconds())
	}
	if len(spans) == 0 {
		return math.MaxInt64, store.Invalidf("the shadow holds nothing of this topic; `metricstream replay --shadow` fills it")
	}
	return from, nil
}

func showSpans(spans []clickhouse.ShadowSpan) string {
	text := "offsets"
	for _, s := range spans {
		if s.Next > s.From {
			text += fmt.Sprintf(" %d:%d-%d", s.Partition, s.From, s.Next-1)
		}
	}
	if text == "offsets" {
		return "no records"
	}
	return text
}
