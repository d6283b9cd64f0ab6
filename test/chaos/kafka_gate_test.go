package chaos

import (
	"io"
	"net"
	"sync"
	"testing"
)

// gate stands between a server and its clients, and can be shut: connections end, and new ones do too.
type gate struct {
	address, target string

	mu    sync.Mutex
	isUp  bool
	conns map[net.Conn]bool
}

func startGate(t *testing.T, target string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: listener.Addr().String(), target: target, isUp: true, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		g.shut()
		wg.Wait()
	})
	return g
}

// shut ends all connections, and lets none through until open.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isUp = false
	for c := range g.conns {
		c.Close()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isUp = true
}

// hold remembers a connection, to be closed by shut, and reports whether the gate is open.
func (g *gate) hold(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isUp {
		g.conns[c] = true
	}
	return g.isUp
}

func (g *gate) release(c net.Conn) {
	c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

func (g *gate) serve(client net.Conn) {
	defer g.release(client)
	if !g.hold(client) {
		return
	}
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	_, _ = io.Copy(client, server)
	client.Close()
	wg.Wait()
}
