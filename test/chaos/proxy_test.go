package chaos

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// commitProxy stands between a consumer and its ClickHouse. Where it is armed for a table, the next insert into it gets
// no answer: when the server has sent the end of it, and so has committed, the server is killed instead.
type commitProxy struct {
	address string

	// begin is called before an insert is passed on, kill when it is committed and its client does not know.
	begin, kill func(table string)
	target      string

	mu   sync.Mutex
	next *commit // the one that is waited for, nil for none
}

// commit is an insert that is to be committed and not answered.
type commit struct {
	table string
	hit   chan struct{} // closed when the server was killed
}

// The last byte of a statement's answer is the packet that ends it, which has no content. Any other packet can end with
// that byte too, so it counts only when nothing comes after it.
const (
	endOfStream = 5
	silence     = 300 * time.Millisecond
)

func startProxy(t *testing.T, target string, begin, kill func(table string)) *commitProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &commitProxy{address: listener.Addr().String(), target: target, begin: begin, kill: kill}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { // the client has ended by now, and so have its connections
		listener.Close()
		wg.Wait()
	})
	return p
}

// arm waits for the next insert into a table. The channel is closed when the server was killed after it.
func (p *commitProxy) arm(table string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = &commit{table, make(chan struct{})}
	return p.next.hit
}

// take returns the insert that is waited for if the bytes of a client have it; then it is waited for no longer.
func (p *commitProxy) take(sent []byte) *commit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil || !bytes.Contains(sent, []byte(`INSERT INTO "`+p.next.table+`" `)) {
		return nil
	}
	taken := p.next
	p.next = nil
	return taken
}

// serve passes on what client and server say until one of them ends.
func (p *commitProxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	c := &proxied{client: client, server: server}
	var wg sync.WaitGroup
	wg.Go(func() { c.up(p) })
	c.down(p)
	client.Close()
	server.Close()
	wg.Wait()
}

// proxied is one connection. What is said of an insert: the client sends the statement, the server the columns, the
// client the rows, the server the end.
type proxied struct {
	client, server net.Conn

	mu     sync.Mutex
	state  insertState
	commit *commit
}

type insertState int

const (
	noInsert insertState = iota
	statementSent
	columnsSent
	rowsSent
)

// step goes from one state to the next and returns the state that is in force.
func (c *proxied) step(from, to insertState) insertState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == from {
		c.state = to
	}
	return c.state
}

// up passes on what the client says.
func (c *proxied) up(p *commitProxy) {
	buf := make([]byte, 1<<20)
	for {
		n, err := c.client.Read(buf)
		if n > 0 {
			if taken := p.take(buf[:n]); taken != nil {
				p.begin(taken.table)
				c.mu.Lock()
				c.state, c.commit = statementSent, taken
				c.mu.Unlock()
			} else {
				c.step(columnsSent, rowsSent)
			}
			if _, err := c.server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			c.server.Close()
			return
		}
	}
}

// down passes on what the server says, until the rows of the insert are sent: what it says then is held back.
func (c *proxied) down(p *commitProxy) {
	buf := make([]byte, 1<<20)
	last := byte(0)
	for {
		if last == endOfStream {
			_ = c.server.SetReadDeadline(time.Now().Add(silence))
		}
		n, err := c.server.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.kill(c.commit.table)
			close(c.commit.hit)
			return
		}
		if n > 0 {
			if c.step(statementSent, columnsSent) == rowsSent {
				last = buf[n-1]
				_ = c.server.SetReadDeadline(time.Time{})
			} else if _, err := c.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
