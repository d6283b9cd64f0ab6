package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/redis/go-redis/v9"
)

const (
	// sharedTimeout bounds each exchange with Redis: whoever waits can compute what he asks for.
	sharedTimeout = 250 * time.Millisecond

	// sharedPause is for how long Redis is left alone after it failed.
	sharedPause = 5 * time.Second

	// maxEntryBytes bounds an entry, before it is compressed.
	maxEntryBytes = 8 << 20
)

// shared keeps entries in Redis, for all queriers.
type shared struct {
	client  redis.Cmdable
	logger  *slog.Logger
	metrics *metrics
	now     func() time.Time

	// until is when Redis is asked again, in Unix nanoseconds.
	until atomic.Int64
}

// entries returns what is kept under the keys, nil for each that is not, or cannot be had.
func (s *shared) entries(ctx context.Context, keys []string) []*entry {
	out := make([]*entry, len(keys))
	if s.paused() {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	values, err := s.client.MGet(ctx, keys...).Result()
	if err != nil {
		s.failed(err)
		return out
	}
	s.metrics.sharedUp.Set(1)
	for i, v := range values {
		text, ok := v.(string)
		if !ok || i >= len(out) {
			continue
		}
		e, err := unpack(keys[i], []byte(text))
		if err != nil {
			s.metrics.corrupt.Inc()
			continue
		}
		out[i] = e
	}
	return out
}

// unpack reads what Redis returned, whoever has written it.
func unpack(key string, b []byte) (*entry, error) {
	if n, err := s2.DecodedLen(b); err != nil || n > maxEntryBytes {
		return nil, errCorrupt
	}
	b, err := s2.Decode(nil, b)
	if err != nil {
		return nil, errCorrupt
	}
	return parse(key, b)
}

// put keeps entries for the others. What fails is computed again by whoever needs it.
func (s *shared) put(ctx context.Context, keys []string, entries []*entry, ttl time.Duration) {
	if s.paused() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, e := range entries {
			packed := s2.Encode(nil, e.bytes)
			s.metrics.sharedBytes.Add(float64(len(packed)))
			p.Set(ctx, keys[i], packed, ttl)
		}
		return nil
	})
	if err != nil {
		s.failed(err)
	}
}

func (s *shared) paused() bool { return s.now().UnixNano() < s.until.Load() }

// failed leaves Redis alone for a while. A request that ended says nothing of it.
func (s *shared) failed(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	s.metrics.sharedErrors.Inc()
	s.metrics.sharedUp.Set(0)
	now := s.now()
	if before := s.until.Swap(now.Add(sharedPause).UnixNano()); before < now.UnixNano() {
		s.logger.Warn("cannot reach Redis for remembered answers; computing them again", "err", err, "next_try_in", sharedPause)
	}
}
