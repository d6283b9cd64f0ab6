// Package engine owns the embedded ClickHouse engine: it fetches the library, hosts it in a child process,
// supervises that process and gives the address under which it answers the native protocol. What is stored in
// it, and how, is left to the callers, who talk to it as to any other ClickHouse server.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Subcommand is the hidden subcommand of the executable whose body is [Host].
const Subcommand = "engine-host"

// Options say where an engine lives and how its process is started. Dir and Library have no default.
type Options struct {
	// Dir is the folder that holds everything the engine writes: data, configuration, logs and locks. It is
	// created where it is missing. One engine at a time may use it.
	Dir string

	// Library is the path of the engine's library, as [Fetch] returns it.
	Library string

	// Executable is the program that hosts the engine when it is run with Args; empty is the running one.
	Executable string

	// Args come before the arguments of [Host] on the command line; nil is [Subcommand].
	Args []string

	// Env is added to the environment of the host, in the form KEY=value.
	Env []string

	// MaxMemoryBytes is what the engine may use before it refuses queries; zero is half of the machine's
	// memory.
	MaxMemoryBytes int64

	// Logger hears about deaths and restarts; nil is silence. What the engine itself has to say is in the
	// log folder of Dir.
	Logger *slog.Logger

	// Registerer gets the engine's metrics; nil is none.
	Registerer prometheus.Registerer
}

// Engine is a running engine and the supervision that restarts it whenever it dies. Its methods may be called
// from several goroutines at once.
type Engine struct {
	opts    Options
	logger  *slog.Logger
	metrics *metrics
	access  access
	locks   *locks

	child   atomic.Pointer[child]
	stop    context.CancelFunc
	stopped chan struct{} // closed when supervision has ended
	closing sync.Once
}

// Start starts the engine and returns when it answers, or with what kept it from that. The context bounds the
// start, not the engine's life: [Engine.Close] ends it. However the calling process ends, the engine shuts
// down by itself.
func Start(ctx context.Context, opts Options) (*Engine, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	held, err := lockDir(ctx, opts.Dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: opts, logger: opts.Logger, metrics: newMetrics(opts.Registerer), locks: held, stopped: make(chan struct{})}
	first, err := e.startOnFreePort(ctx)
	if err != nil {
		held.release()
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	go e.supervise(run, first)
	return e, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" || o.Library == "" {
		return o, errors.New("cannot start the ClickHouse engine: Options.Dir and Options.Library are required")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("cannot find the engine's folder %q: %w", o.Dir, err)
	}
	o.Dir = dir
	if o.Library, err = filepath.Abs(o.Library); err != nil {
		return o, fmt.Errorf("cannot find the engine's library %q: %w", o.Library, err)
	}
	if o.Executable == "" {
		if o.Executable, err = os.Executable(); err != nil {
			return o, fmt.Errorf("cannot find the running program to host the ClickHouse engine: %w", err)
		}
	}
	if o.Args == nil {
		o.Args = []string{Subcommand}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// DSN returns the engine's address for clickhouse-go, with user and password. It stays the same for as long
// as the engine is not closed, whatever dies and restarts in between.
func (e *Engine) DSN() string { return e.access.dsn() }

// PID returns the process id of the host that runs at the moment; zero while there is none.
func (e *Engine) PID() int {
	if c := e.child.Load(); c != nil {
		return c.pid()
	}
	return 0
}

// Close shuts the engine down cleanly and returns when its process is gone. If the context ends before that,
// the process is killed, which loses nothing that was inserted; the error then says so. Closing twice is harmless.
func (e *Engine) Close(ctx context.Context) error {
	var err error
	e.closing.Do(func() {
		e.stop()
		select {
		case <-e.stopped:
		case <-ctx.Done():
			if c := e.child.Load(); c != nil {
				c.kill()
			}
			<-e.stopped
			err = fmt.Errorf("cannot close the ClickHouse engine in time, it was killed: %w", context.Cause(ctx))
		}
		e.locks.release()
		e.metrics.unregister()
	})
	<-e.stopped
	return err
}
