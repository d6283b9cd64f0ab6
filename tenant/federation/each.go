package federation

import (
	"context"
	"fmt"
)

// each reads some parts at the same time and takes what was found in the order of the parts. The first error ends it; it
// returns when nothing reads any more.
func each[T any](ctx context.Context, parts []part, read func(context.Context, part) ([]T, error), take func([]T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	type answer struct {
		found []T
		err   error
	}
	answers := make([]chan answer, len(parts))
	next := 0
	start := func() {
		c, p := make(chan answer, 1), parts[next]
		answers[next] = c
		next++
		go func() {
			var a answer
			defer func() {
				if fault := recover(); fault != nil {
					a.err = fmt.Errorf("cannot read the tenant %s, a fault in this program: %v", p.tenant(), fault)
				}
				c <- a
			}()
			a.found, a.err = read(ctx, p)
		}()
	}
	for next < min(atOnce, len(parts)) {
		start()
	}
	var failed error
	for i := 0; i < next; i++ {
		a := <-answers[i]
		if failed != nil {
			continue
		}
		if failed = a.err; failed == nil {
			failed = take(a.found)
		}
		if failed != nil {
			cancel()
		} else if next < len(parts) {
			start()
		}
	}
	cancel()
	return failed
}
