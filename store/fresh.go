package store

import "context"

type freshKey struct{}

// WithFresh returns a context whose reads have to see everything that the tables have when they begin: what is remembered of
// the tables may not be used for them.
func WithFresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}

// Fresh reports whether reads have to look for themselves; see [WithFresh].
func Fresh(ctx context.Context) bool {
	fresh, _ := ctx.Value(freshKey{}).(bool)
	return fresh
}
