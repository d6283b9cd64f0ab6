package engine

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// lifeFd is the number of the file whose end tells the host to shut down, see spawn.
const lifeFd = 3

// shutdownTimeout is how long a host may take to shut down after its parent let go of it. It matters only
// when the parent was killed: else the parent decides.
const shutdownTimeout = 30 * time.Second

// Host is the body of the hidden subcommand that [Start] runs as a child process: it loads the library and
// runs the engine inside this process until the parent closes its end of the pipe, or dies. The arguments are
// those after the subcommand. It is for [Start] alone.
func Host(args []string) error {
	flags := flag.NewFlagSet(Subcommand, flag.ContinueOnError)
	library := flags.String("library", "", "path of the engine's library")
	dir := flags.String("dir", "", "the engine's folder, with the configuration in it")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("cannot host the ClickHouse engine: %w", err)
	}
	if *library == "" || *dir == "" {
		return errors.New("cannot host the ClickHouse engine: this subcommand is started by metricstream itself, not by hand")
	}
	// The terminal sends Ctrl-C to the whole process group, and service managers signal every process: the
	// parent alone decides when the engine ends, because it has writes to finish first.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go exitAfterParent()

	engine, err := loadLibrary(*library)
	if err != nil {
		return err
	}
	return engine.run(
		"clickhouse",
		"--config-file="+filepath.Join(*dir, configFile),
		"--queries-file", filepath.Join(*dir, startFile), fmt.Sprintf("%s/%d", fdFolder(), lifeFd),
	)
}

// exitAfterParent ends the process when the engine does not manage to by itself after the pipe has ended. The
// engine reads the same pipe; the parent never writes to it, so both see its end.
func exitAfterParent() {
	life := os.NewFile(lifeFd, "life")
	_, _ = life.Read(make([]byte, 1))
	time.Sleep(shutdownTimeout)
	fmt.Fprintf(os.Stderr, "the ClickHouse engine did not shut down within %s and is ended\n", shutdownTimeout)
	os.Exit(1)
}

func fdFolder() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/fd"
	}
	return "/dev/fd"
}

// lib are the functions of the library that a host needs.
type lib struct {
	cmdline           func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	resultError       func(result unsafe.Pointer) string
	setSignalHandlers func(enabled int32)
}

func loadLibrary(path string) (*lib, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("cannot load the ClickHouse engine's library %s: %w", path, err)
	}
	l := &lib{}
	for name, f := range map[string]any{
		"chdb_query_cmdline":               &l.cmdline,
		"chdb_result_error":                &l.resultError,
		"chdb_set_signal_handlers_enabled": &l.setSignalHandlers,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("cannot use the ClickHouse engine's library %s: it has no %s: %w", path, name, err)
		}
		purego.RegisterFunc(f, symbol)
	}
	if err := keepAliveOnErrors(handle, path); err != nil {
		fmt.Fprintln(os.Stderr, "the engine will end, and be restarted, when a client breaks a handshake:", err)
	}
	return l, nil
}

// run calls the engine's main function and returns when that does. Signals stay with the Go runtime.
func (l *lib) run(args ...string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.setSignalHandlers(0)
	texts := make([][]byte, len(args))
	argv := make([]*byte, len(args)+1) // ends with a nil pointer, as main's does
	for i, arg := range args {
		texts[i] = append([]byte(arg), 0)
		argv[i] = &texts[i][0]
	}
	result := l.cmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if message := l.resultError(result); message != "" {
		return fmt.Errorf("the ClickHouse engine failed: %s", message)
	}
	return nil
}
