package promql

import "context"

type noStoreKey struct{}

// WithNoStore returns a context whose queries are evaluated, whatever is remembered of their answers.
func WithNoStore(ctx context.Context) context.Context {
	return context.WithValue(ctx, noStoreKey{}, true)
}

// NoStore reports whether nothing that is remembered may be used; see [WithNoStore].
func NoStore(ctx context.Context) bool {
	is, _ := ctx.Value(noStoreKey{}).(bool)
	return is
}

type newestKey struct{}

// WithNewest returns a context of an instant query that names no time: it asks for the newest values.
func WithNewest(ctx context.Context) context.Context {
	return context.WithValue(ctx, newestKey{}, true)
}

// Newest reports whether an instant query names no time; see [WithNewest].
func Newest(ctx context.Context) bool {
	is, _ := ctx.Value(newestKey{}).(bool)
	return is
}
