package ha

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed decide.lua
var decideLua string

// keyPrefix stands before tenant/cluster in the keys. A tenant's name has no slash.
const keyPrefix = "metricstream:ha:"

// Redis is the [Shared] state of all receivers that use one Redis, which needs neither persistence nor replicas:
// what it forgets the receivers tell it again. Its clock is the only one that counts.
type Redis struct {
	client   redis.Scripter
	script   *redis.Script
	failover time.Duration

	// nowMs stands for Redis' clock in tests; 0 is that clock.
	nowMs int64
}

// NewRedis returns the state in a Redis, which is not a Redis Cluster: one script looks at many keys.
func NewRedis(client redis.Scripter, failover time.Duration) *Redis {
	return &Redis{client: client, script: redis.NewScript(decideLua), failover: failover}
}

// asksArgs and viewValues are how many numbers and strings an [Ask] and a [View] are for the script.
const (
	askArgs    = 5
	viewValues = 4
)

// Ask runs the script for all questions at once.
func (r *Redis) Ask(ctx context.Context, asks []Ask) ([]View, error) {
	keys := make([]string, 0, len(asks))
	args := make([]any, 0, 3+askArgs*len(asks))
	args = append(args, r.nowMs, r.failover.Milliseconds(), forgetAfter.Milliseconds())
	for _, a := range asks {
		keys = append(keys, keyPrefix+a.Key.Tenant+"/"+a.Key.Cluster)
		args = append(args, a.Mine.Replica, a.Mine.Term, a.Mine.Age.Milliseconds(), a.Mine.SeenAge.Milliseconds(), a.Candidate)
	}
	values, err := r.script.Run(ctx, r.client, keys, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("cannot exchange the elections of HA replicas with Redis: %w", err)
	}
	if len(values) != viewValues*len(asks) {
		return nil, fmt.Errorf("cannot read the elections of HA replicas from Redis: %d values for %d clusters", len(values), len(asks))
	}
	views := make([]View, len(asks))
	for i := range views {
		if views[i], err = viewOf(values[viewValues*i:]); err != nil {
			return nil, fmt.Errorf("cannot read the election of HA replicas at %q from Redis: %w", keys[i], err)
		}
	}
	return views, nil
}

func viewOf(values []string) (View, error) {
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(values[i+1], 10, 64); err != nil {
			return View{}, err
		}
	}
	return View{Replica: values[0], Term: n[0], Age: time.Duration(n[1]) * time.Millisecond, SeenAge: time.Duration(n[2]) * time.Millisecond}, nil
}
