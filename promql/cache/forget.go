package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metricstream/metricstream/tenant"
	"github.com/redis/go-redis/v9"
)

// Forget removes everything that is remembered of a tenant's data: from this process and from Redis. What other processes
// hold is left to store.Change, after which they do not use it any more, and to the time that it is kept.
func (e *Engine) Forget(ctx context.Context, id string) error {
	e.local.forget(func(key string) bool { return isOf(key, id) })
	e.hot.forget()
	if e.Redis == nil {
		return nil
	}
	return Forget(ctx, e.Redis, id)
}

// isOf reports whether a key is about a tenant, alone or among others.
func isOf(key, id string) bool { return slices.Contains(tenant.Split(tenantOf(key)), id) }

// forgetBatch is how many keys are looked at and removed at once.
const forgetBatch = 1000

// Forget removes everything that Redis has of a tenant's data. When it returns nil, nothing of it is there but what was
// computed since.
func Forget(ctx context.Context, client redis.Cmdable, id string) error {
	var keys []string
	remove := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := client.Unlink(ctx, keys...).Err()
		keys = keys[:0]
		return err
	}
	all := client.Scan(ctx, 0, keyPrefix+"*", forgetBatch).Iterator()
	var err error
	for err == nil && all.Next(ctx) {
		if key := all.Val(); isOf(key, id) {
			keys = append(keys, key)
		}
		if len(keys) == forgetBatch {
			err = remove()
		}
	}
	if err = errors.Join(err, all.Err(), remove()); err != nil {
		return fmt.Errorf("cannot remove the remembered answers of tenant %q from Redis: %w", id, err)
	}
	return nil
}
