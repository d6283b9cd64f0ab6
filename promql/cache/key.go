package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/metricstream/metricstream/tenant"
	prom "github.com/prometheus/prometheus/promql"
)

const (
	// keyPrefix stands before all keys in Redis. The tenant comes behind it, whose name has no colon.
	keyPrefix = "metricstream:answers:"

	// schema is part of all keys. It changes when other values have to be remembered for the same question.
	schema = 1
)

// identity is everything that an answer depends on beside the data and the time: who asks, what, and how the engine is set up.
func (e *Engine) identity(ctx context.Context, opts prom.QueryOpts, text string, numbers ...int64) string {
	h := sha256.New()
	field := func(s string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	id := tenant.FromContext(ctx)
	field(strconv.Itoa(schema))
	field(e.Build)
	field(e.lookback(opts).String())
	field(starts(opts))
	field(id)
	matchers := tenant.MatchersFrom(ctx)
	field(strconv.Itoa(len(matchers)))
	for _, m := range matchers {
		field(m.Type.String())
		field(m.Name)
		field(m.Value)
	}
	field(text)
	for _, n := range numbers {
		field(strconv.FormatInt(n, 10))
	}
	return keyPrefix + id + ":" + hex.EncodeToString(h.Sum(nil)[:20])
}

// tenantOf returns the tenant of a key.
func tenantOf(key string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), ":")
	return id
}

// lookback is how far instant selectors of a query look back.
func (e *Engine) lookback(opts prom.QueryOpts) time.Duration {
	if opts != nil && opts.LookbackDelta() > 0 {
		return opts.LookbackDelta()
	}
	return e.Query.LookbackDelta
}

func starts(opts prom.QueryOpts) string {
	if opts == nil || opts.UseStartTimestamps() == nil {
		return ""
	}
	return strconv.FormatBool(*opts.UseStartTimestamps())
}
