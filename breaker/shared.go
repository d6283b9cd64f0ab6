package breaker

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

//go:embed share.lua
var shareLua string

const (
	keyPrefix = "metricstream:breakers:"

	// shareInterval is how often processes tell each other, and wordCounts for how long the word of one that is silent
	// counts.
	shareInterval = time.Second
	wordCounts    = 4 * time.Second
)

// Others are how many other processes leave a dependency alone, and how many had an answer of it of late.
type Others struct {
	Open int `json:"open"`
	Up   int `json:"up"`
}

// Shared tells other processes, through one Redis, how dependencies do that all of them have, and its breakers how they do
// for the others. No call waits for it. While Redis is away each process knows what it has seen itself. Not a Redis
// Cluster: one script looks at many keys.
type Shared struct {
	client   redis.Scripter
	script   *redis.Script
	process  string
	breakers []*Breaker

	// nowMs stands for Redis' clock in tests; 0 is that clock.
	nowMs int64
}

// NewShared returns what shares breakers under the name of a process that no other one has.
func NewShared(client redis.Scripter, process string, breakers []*Breaker) *Shared {
	return &Shared{client: client, script: redis.NewScript(shareLua), process: process, breakers: breakers}
}

// Run shares until ctx ends, and returns its error.
func (s *Shared) Run(ctx context.Context) error {
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	for {
		_ = s.exchange(ctx) // whoever depends on Redis tells of it
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// exchange tells and hears once. Without an answer nothing is known of the others.
func (s *Shared) exchange(ctx context.Context) error {
	keys, args := make([]string, 0, 2*len(s.breakers)), []any{s.nowMs, s.process, wordCounts.Milliseconds()}
	for _, b := range s.breakers {
		keys = append(keys, keyPrefix+b.name+":open", keyPrefix+b.name+":up")
		args = append(args, b.word())
	}
	counts, err := s.script.Run(ctx, s.client, keys, args...).Int64Slice()
	if err == nil && len(counts) != len(keys) {
		err = fmt.Errorf("%d numbers for %d keys", len(counts), len(keys))
	}
	for i, b := range s.breakers {
		if err != nil {
			b.others.Store(nil)
			continue
		}
		b.others.Store(&Others{Open: int(counts[2*i]), Up: int(counts[2*i+1])})
	}
	if err != nil {
		return fmt.Errorf("cannot share the states of breakers through Redis: %w", err)
	}
	return nil
}

// word is what others are told.
func (b *Breaker) word() string {
	switch {
	case b.circuit.State() != gobreaker.StateClosed:
		return "open"
	case b.answered():
		return "up"
	}
	return ""
}

// answered reports whether the dependency has answered this process of late.
func (b *Breaker) answered() bool {
	return time.Now().UnixNano()-b.answeredNs.Load() < pause.Nanoseconds()
}

// warned reports whether others leave the dependency alone, and nobody, this process included, had an answer of it: a
// process that alone cannot reach it is no warning to the others.
func (b *Breaker) warned() bool {
	o := b.others.Load()
	return o != nil && o.Open > 0 && o.Up == 0 && !b.answered()
}

// enter lets a call through, but while there is a warning one at a time. The caller calls leave at its end.
func (b *Breaker) enter() (leave func(), ok bool) {
	if !b.warned() {
		return func() {}, true
	}
	if !b.trying.CompareAndSwap(false, true) {
		return nil, false
	}
	return func() { b.trying.Store(false) }, true
}
