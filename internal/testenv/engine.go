package testenv

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store/clickhouse/engine"
)

// hostEnv makes a test binary host an engine instead of running tests.
const hostEnv = "METRICSTREAM_ENGINE_HOST"

const (
	engineFetchTimeout = 15 * time.Minute
	engineStartTimeout = 2 * time.Minute
	engineCloseTimeout = 30 * time.Second
)

// Main runs the tests of a package that uses [StartEngine], and ends the process. Such a package has
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// because the engine's host is the test binary itself, run a second time, and because the engine that the
// package's tests share ends with them.
func Main(m *testing.M) {
	if IsEngineHost() {
		if err := engine.Host(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	shared.close()
	os.Exit(code)
}

// IsEngineHost tells a TestMain that this process is going to host an engine and to run no tests.
func IsEngineHost() bool { return os.Getenv(hostEnv) != "" }

// shared is the one engine of a test binary.
var shared sharedEngine

type sharedEngine struct {
	once   sync.Once
	engine *engine.Engine
	dir    string
	err    error
}

func (s *sharedEngine) start() {
	if s.dir, s.err = os.MkdirTemp("", "metricstream-engine-"); s.err == nil {
		s.engine, s.err = startEngine(s.dir)
	}
}

func (s *sharedEngine) close() {
	if s.engine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), engineCloseTimeout)
		defer cancel()
		if err := s.engine.Close(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// StartEngine returns the address of the ClickHouse engine that all tests of the package share; the first call
// starts it. Tests keep out of each other's way by databases of their own. The package needs [Main].
func StartEngine(t testing.TB) (dsn string) {
	t.Helper()
	shared.once.Do(shared.start)
	if shared.err != nil {
		t.Fatalf("cannot start the ClickHouse engine for the tests: %v", shared.err)
	}
	return shared.engine.DSN()
}

// OwnEngine is an engine of one test, to be killed and restarted.
type OwnEngine struct {
	t      testing.TB
	dir    string
	engine *engine.Engine
}

// StartOwnEngine starts an engine for this test alone in dir; empty is a new folder. It is closed when the test
// ends. The package needs [Main].
func StartOwnEngine(t testing.TB, dir string) *OwnEngine {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	o := &OwnEngine{t: t, dir: dir}
	o.start()
	t.Cleanup(o.Close)
	return o
}

func (o *OwnEngine) start() {
	o.t.Helper()
	var err error
	if o.engine, err = startEngine(o.dir); err != nil {
		o.t.Fatalf("cannot start the ClickHouse engine for the test: %v", err)
	}
}

// DSN returns the engine's address. It survives [OwnEngine.Kill] but not [OwnEngine.Restart].
func (o *OwnEngine) DSN() string { return o.engine.DSN() }

// PID returns the engine's process id, zero while it is being restarted.
func (o *OwnEngine) PID() int { return o.engine.PID() }

// Kill ends the engine's process with SIGKILL, and returns; the supervision restarts it at the same address.
func (o *OwnEngine) Kill() {
	o.t.Helper()
	if pid := o.engine.PID(); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			o.t.Fatalf("cannot kill the ClickHouse engine: %v", err)
		}
	}
}

// Restart shuts the engine down cleanly and starts it again in the same folder, at another address.
func (o *OwnEngine) Restart() {
	o.t.Helper()
	o.Close()
	o.start()
}

// Close shuts the engine down. Its folder stays.
func (o *OwnEngine) Close() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), engineCloseTimeout)
	defer cancel()
	if err := o.engine.Close(ctx); err != nil {
		o.t.Errorf("cannot close the ClickHouse engine of the test: %v", err)
	}
}

func startEngine(dir string) (*engine.Engine, error) {
	library, err := Library()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineStartTimeout)
	defer cancel()
	return engine.Start(ctx, engine.Options{Dir: dir, Library: library, Args: []string{}, Env: []string{hostEnv + "=1"}})
}

// Library returns the path of the engine's library, which it fetches into the cache folder where it is missing.
func Library() (string, error) {
	cache, err := engine.CacheDir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineFetchTimeout)
	defer cancel()
	return engine.Fetch(ctx, cache, os.Stderr)
}
