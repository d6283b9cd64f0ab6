package testenv

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test runs.
type Process struct {
	Cmd  *exec.Cmd
	Log  string
	done chan struct{}
}

// StartProcess runs a program in a process group of its own, its output in a file, until the test ends, when the
// group is killed. On a test that fails the end of the output is shown.
func StartProcess(t testing.TB, dir, name string, args ...string) *Process {
	t.Helper()
	log := filepath.Join(dir, filepath.Base(name)+"-"+fmt.Sprint(time.Now().UnixNano())+".log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", name, err)
	}
	p := &Process{Cmd: cmd, Log: log, done: make(chan struct{})}
	go func() { cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, tail(log))
		}
	})
	return p
}

// Kill ends the process and its whole group by SIGKILL and waits for it.
func (p *Process) Kill() {
	syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// interruptTimeout is more than the minute that metricstream itself takes at most.
const interruptTimeout = 2 * time.Minute

// Interrupt asks the process to stop, as Ctrl-C does, and waits for it; it returns an error unless the process ended
// with exit code 0.
func (p *Process) Interrupt() error {
	p.Cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
		if !p.Cmd.ProcessState.Success() {
			return errors.New(p.Cmd.ProcessState.String())
		}
		return nil
	case <-time.After(interruptTimeout):
		return fmt.Errorf("it runs %v after it was interrupted", interruptTimeout)
	}
}

// Exited tells whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) > 8000 {
		raw = raw[len(raw)-8000:]
	}
	return string(raw)
}

// FreeAddress returns a loopback address with a port that was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// WaitOK polls a URL until it answers 200, and fails the test after the time given or when p has ended.
func WaitOK(t testing.TB, p *Process, url string, limit time.Duration) {
	t.Helper()
	last := "no answer"
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p != nil && p.Exited() {
			t.Fatalf("%s ended:\n%s", p.Cmd.Path, tail(p.Log))
		}
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		last = resp.Status
	}
	t.Fatalf("%s did not answer 200 within %v: %s", url, limit, last)
}
