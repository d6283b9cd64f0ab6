package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// pollInterval is how often a starting engine is asked whether it answers.
const pollInterval = 20 * time.Millisecond

// dialTimeout is generous on purpose: a machine that is busy enough to exceed it gains nothing from a second
// handshake.
const dialTimeout = 20 * time.Second

var errPortTaken = errors.New("the port chosen for the engine is taken by another process")

// child is one process that hosts the engine.
type child struct {
	cmd     *exec.Cmd
	life    *os.File // the write end of the pipe that keeps the engine alive
	logPath string
	exited  chan struct{} // closed when the process is gone; exitErr is valid then
	exitErr error
}

// spawn starts a host. The host reads the pipe that becomes its file 3 and shuts down when that ends; it holds
// the engine's lock as its file 4, so that the folder stays locked until the last of its threads is gone.
func spawn(o Options, engineLock *os.File) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make the pipe to the ClickHouse engine: %w", err)
	}
	defer r.Close()
	logPath := filepath.Join(o.Dir, hostLogFile)
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot open the log of the ClickHouse engine's host: %w", err)
	}
	defer out.Close()

	args := append(append([]string{}, o.Args...), "--library="+o.Library, "--dir="+o.Dir)
	cmd := exec.Command(o.Executable, args...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{r, engineLock}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot start the ClickHouse engine's host %q: %w", o.Executable, err)
	}
	c := &child{cmd: cmd, life: w, logPath: logPath, exited: make(chan struct{})}
	go func() {
		c.exitErr = cmd.Wait()
		w.Close()
		close(c.exited)
	}()
	return c, nil
}

func (c *child) pid() int  { return c.cmd.Process.Pid }
func (c *child) kill()     { _ = c.cmd.Process.Kill() }
func (c *child) shutdown() { _ = c.life.Close() }

// awaitReady returns nil when the engine has answered a ping, and an error when it died or the context ended
// before.
func (c *child) awaitReady(ctx context.Context, a access) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-c.exited:
			if why := c.reason(); strings.Contains(why, "Address already in use") {
				return fmt.Errorf("%w: %s", errPortTaken, a.addr)
			} else {
				return fmt.Errorf("cannot start the ClickHouse engine: it ended: %s", why)
			}
		case <-ctx.Done():
			return fmt.Errorf("cannot start the ClickHouse engine: %w (last answer: %v)", context.Cause(ctx), last)
		case <-tick.C:
			if last = ping(ctx, a); last == nil {
				return nil
			}
		}
	}
}

// ping asks for the answer to a statement, on a connection of its own. An exception is no answer here.
func ping(ctx context.Context, a access) error {
	conn, err := ch.Dial(ctx, ch.Options{Address: a.addr, User: a.user, Password: a.password, DialTimeout: dialTimeout, HandshakeTimeout: dialTimeout})
	if err != nil {
		return err
	}
	defer conn.Close()
	var one proto.ColUInt8
	return conn.Do(ctx, ch.Query{Body: "SELECT 1", Result: proto.Results{{Name: "1", Data: &one}}})
}

// reason says in one line why the process is gone. It may be called once exited is closed.
func (c *child) reason() string {
	why := "its process ended by itself"
	if c.exitErr != nil {
		why = c.exitErr.Error()
	}
	if said := firstOutput(c.logPath); said != "" {
		why += ": " + said
	}
	return why
}

// firstOutput returns the start of what the host printed, where the cause stands, on one line.
func firstOutput(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 600))
	return string(bytes.Join(bytes.Fields(b), []byte(" ")))
}
