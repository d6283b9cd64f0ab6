package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ClickHouse/ch-go"
)

// pool keeps connections of ch-go for the hot paths. A connection that was idle may have died with its server;
// a statement that finds this out before anything came back is tried once more on a new one.
type pool struct {
	options   ch.Options
	addresses []string
	slots     chan struct{}

	mu     sync.Mutex
	idle   []*ch.Client
	next   int
	closed bool
}

func newPool(options ch.Options, addresses []string, maxConnections int) *pool {
	return &pool{options: options, addresses: addresses, slots: make(chan struct{}, maxConnections)}
}

// reserve waits for one connection, and takes up to most of them where more are free: nobody who has some waits for
// others. What it returns is to be given to free.
func (p *pool) reserve(ctx context.Context, most int) (int, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for n := 1; n < most; n++ {
		select {
		case p.slots <- struct{}{}:
		default:
			return n, nil
		}
	}
	return max(1, most), nil
}

func (p *pool) free(reserved int) {
	for range reserved {
		<-p.slots
	}
}

// do runs one statement. mayRepeat is asked before a second try whether nothing of the first has been used.
func (p *pool) do(ctx context.Context, q ch.Query, mayRepeat func() bool) error {
	reserved, err := p.reserve(ctx, 1)
	if err != nil {
		return err
	}
	defer p.free(reserved)
	return p.run(ctx, q, mayRepeat)
}

// run is do on a connection that has been reserved.
func (p *pool) run(ctx context.Context, q ch.Query, mayRepeat func() bool) error {
	c, reused, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	err = c.Do(ctx, q)
	if err != nil && reused && !ch.IsException(err) && ctx.Err() == nil && mayRepeat() {
		p.discard(c)
		if c, err = p.dial(ctx); err != nil {
			return err
		}
		err = c.Do(ctx, q)
	}
	if err != nil && !ch.IsException(err) {
		p.discard(c)
		return err
	}
	p.release(c)
	return err
}

func (p *pool) acquire(ctx context.Context) (c *ch.Client, reused bool, err error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		c = p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosed() {
			p.mu.Unlock()
			return c, true, nil
		}
	}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, false, errors.New("cannot use ClickHouse: the store is closed")
	}
	c, err = p.dial(ctx)
	return c, false, err
}

// dial tries every address once, beginning with another one each time.
func (p *pool) dial(ctx context.Context) (*ch.Client, error) {
	p.mu.Lock()
	first := p.next
	p.next++
	p.mu.Unlock()
	var errs []error
	for i := range p.addresses {
		o := p.options
		o.Address = p.addresses[(first+i)%len(p.addresses)]
		c, err := ch.Dial(ctx, o)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("cannot connect to ClickHouse at %s: %w", o.Address, err))
	}
	return nil, errors.Join(errs...)
}

func (p *pool) release(c *ch.Client) {
	p.mu.Lock()
	if !p.closed && !c.IsClosed() {
		p.idle = append(p.idle, c)
		c = nil
	}
	p.mu.Unlock()
	if c != nil {
		p.discard(c)
	}
}

// discard closes a connection whose state is unknown; it may be closed already, which is no matter.
func (p *pool) discard(c *ch.Client) { _ = c.Close() }

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		p.discard(c)
	}
}
