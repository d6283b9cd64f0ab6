package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/metricstream/metricstream/breaker"
)

// Failed tells the failures of a connection from what the server answers, which shows that it is there.
func Failed(err error) bool {
	var answered redis.Error
	return !errors.As(err, &answered)
}

// Guard puts a breaker before every command of a client.
func Guard(client *redis.Client, b *breaker.Breaker) { client.AddHook(guard{b}) }

type guard struct{ breaker *breaker.Breaker }

// asked marks the context of a command that the breaker has let through: the library greets the server on a new
// connection by commands of its own, which come by here too and belong to the first.
type asked struct{}

func (g guard) do(ctx context.Context, f func(context.Context) error) error {
	if ctx.Value(asked{}) != nil {
		return f(ctx)
	}
	return g.breaker.Do(ctx, func() error { return f(context.WithValue(ctx, asked{}, true)) })
}

// DialHook implements [redis.Hook]: connecting is part of a command.
func (guard) DialHook(next redis.DialHook) redis.DialHook {
	return next
}

// ProcessHook implements [redis.Hook].
func (g guard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := g.do(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (g guard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		called := false
		err := g.do(ctx, func(ctx context.Context) error { called = true; return next(ctx, cmds) })
		if !called {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}
