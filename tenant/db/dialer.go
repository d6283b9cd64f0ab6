package db

import (
	"context"
	"net"
	"sync"
	"time"
)

// patient is a connection to PostgreSQL whose reads end: the driver sends BEGIN without looking at a context, and would
// wait for a server that hangs for ever. It reads only when it waits for the answer to a short statement.
type patient struct{ net.Conn }

func (c patient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(statementTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// statements connects for statements.
type statements struct{ net.Dialer }

// Dial implements pq.Dialer.
func (d *statements) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (d *statements) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// DialContext implements pq.DialerContext.
func (d *statements) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return patient{conn}, nil
}

// listening connects the listener, which has no context of its own and waits for notifications as long as it takes: its
// connection is closed when ctx ends, or it would wait for a server that hangs for ever.
type listening struct {
	ctx context.Context

	mu   sync.Mutex
	last func() (stopped bool) // forgets the connection before
}

// Dial implements pq.Dialer.
func (d *listening) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, statementTimeout)
}

// DialTimeout implements pq.Dialer.
func (d *listening) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		d.last()
	}
	d.last = context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	return conn, nil
}
