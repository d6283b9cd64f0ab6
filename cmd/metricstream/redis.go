package main

import (
	"context"

	"github.com/metricstream/metricstream/redis"
	library "github.com/redis/go-redis/v9"
)

// redisClient is the library's; the package of this program with its name has the configuration.
type redisClient = library.Client

// redisName is its name among the dependencies.
const redisName = "Redis"

// redis returns the one client of the process, nil where no Redis is configured.
func (n *node) redis() *redisClient {
	if n.parts.redis == nil && n.config.Redis.Address != "" {
		redis.LogTo(n.logger)
		client := redis.New(n.config.Redis)
		n.stack.Push("the connection to Redis", func(context.Context) error { return client.Close() })
		calls := n.breaker(redisName, redis.Failed)
		redis.Guard(client, calls)
		n.dependencies = append(n.dependencies, dependency{redisName, false, func(ctx context.Context) error { return client.Ping(ctx).Err() }, calls})
		n.parts.redis = client
	}
	return n.parts.redis
}
