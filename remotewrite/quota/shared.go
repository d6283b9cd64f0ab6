package quota

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Kind is what is counted.
type Kind string

// The kinds.
const (
	Samples   Kind = "samples"
	NewSeries Kind = "new_series"
)

// Subject is whose use is counted: a tenant's, or that of a key, over all tenants that it writes for. The other is empty.
type Subject struct {
	Kind        Kind
	Tenant, Key string
}

// Use is what a receiver tells the others about a subject.
type Use struct {
	Subject Subject

	// PerSecond and Burst are the limit.
	PerSecond, Burst float64

	// Spent is what was let through since the last report.
	Spent float64

	// Demand is what is offered here in a second, let through or not.
	Demand float64

	// Whole is what all receivers together had left before Spent, as far as this one knows. It counts where nobody
	// remembers better.
	Whole float64
}

// Lease is what a receiver may let through until it hears more: Share of Tokens, and Share of what comes in a second.
type Lease struct{ Tokens, Share float64 }

// Shared is the count that several receivers share. Exchange books each use and returns the leases in the same order,
// and the number of receivers, this one among them. After says that exchanges before this one failed: what the state
// gathered meanwhile was spent without it.
type Shared interface {
	Exchange(ctx context.Context, uses []Use, after Absence) (leases []Lease, receivers int, err error)
}

// Absence tells whether the last exchange failed.
type Absence bool

//go:embed lease.lua
var leaseLua string

const (
	keyPrefix = "metricstream:quota:"

	// silence is how long a receiver that is not heard keeps its share.
	silence = 5 * time.Second
)

// Redis is the [Shared] count of all receivers that use one Redis, which needs neither persistence nor replicas: what it
// forgets the receivers tell it again. Its clock is the only one that counts. It is not a Redis Cluster: one script looks
// at many keys.
type Redis struct {
	client   redis.Scripter
	script   *redis.Script
	receiver string

	// nowMs stands for Redis' clock in tests; 0 is that clock.
	nowMs int64
}

// NewRedis returns the count in a Redis for a receiver of a name that no other one has.
func NewRedis(client redis.Scripter, receiver string) *Redis {
	return &Redis{client: client, script: redis.NewScript(leaseLua), receiver: receiver}
}

// Exchange runs the script for all uses at once.
func (r *Redis) Exchange(ctx context.Context, uses []Use, after Absence) ([]Lease, int, error) {
	keys := make([]string, 0, 1+len(uses))
	args := make([]any, 0, 4+5*len(uses))
	keys = append(keys, keyPrefix+"receivers")
	lower := 0
	if after {
		lower = 1
	}
	args = append(args, r.nowMs, r.receiver, silence.Milliseconds(), lower)
	for _, u := range uses {
		keys = append(keys, keyPrefix+string(u.Subject.Kind)+":"+u.Subject.Tenant+"/"+u.Subject.Key) // a tenant has no slash
		args = append(args, u.PerSecond, u.Burst, u.Spent, u.Demand, u.Whole)
	}
	values, err := r.script.Run(ctx, r.client, keys, args...).StringSlice()
	if err != nil {
		return nil, 0, fmt.Errorf("cannot exchange the use of limits with Redis: %w", err)
	}
	if len(values) != 1+2*len(uses) {
		return nil, 0, fmt.Errorf("cannot read the leases from Redis: %d values for %d subjects", len(values), len(uses))
	}
	receivers, err := strconv.Atoi(values[0])
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the number of receivers from Redis: %w", err)
	}
	leases := make([]Lease, len(uses))
	for i := range leases {
		if leases[i], err = leaseOf(values[1+2*i], values[2+2*i]); err != nil {
			return nil, 0, fmt.Errorf("cannot read the lease at %q from Redis: %w", keys[1+i], err)
		}
	}
	return leases, receivers, nil
}

func leaseOf(tokens, share string) (l Lease, err error) {
	if l.Tokens, err = strconv.ParseFloat(tokens, 64); err != nil {
		return l, err
	}
	if l.Share, err = strconv.ParseFloat(share, 64); err == nil && !(l.Share > 0 && l.Share <= 1) {
		err = fmt.Errorf("%s is no share", share)
	}
	return l, err
}
