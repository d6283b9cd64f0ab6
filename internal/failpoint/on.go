//go:build failpoints

// Package failpoint owns the places where tests end a process; see off.go for what other programs have of it.
package failpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Env names the one point of a process that is armed: NAME[:COUNT[:children]]. At the COUNT-th hit, the first
// where none is given, the process kills itself, or, with `children`, the processes that it started: the embedded
// engine. A value that means nothing ends the process at the first point that it comes to.
const Env = "METRICSTREAM_FAILPOINT"

// point is what Env says.
type point struct {
	name     string
	at       int64
	children bool
	hits     atomic.Int64
}

var armed = sync.OnceValue(func() *point {
	p := &point{at: 1}
	if os.Getenv(Env) == "" {
		return p
	}
	parts := strings.Split(os.Getenv(Env), ":")
	p.name = parts[0]
	if len(parts) > 1 {
		at, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil || at < 1 {
			panic(fmt.Sprintf("%s: %q is no count", Env, parts[1]))
		}
		p.at = at
	}
	if len(parts) > 2 {
		if parts[2] != "children" {
			panic(fmt.Sprintf("%s: %q is not children", Env, parts[2]))
		}
		p.children = true
	}
	return p
})

// Hit is a point: where it is armed and its count is reached, the call does not return.
func Hit(name string) { Do(name, func() {}) }

// Do is a point that leaves something half done: it calls first, and then is as Hit. Where the point is not due,
// first is not called.
func Do(name string, first func()) {
	p := armed()
	if p.name != name || p.hits.Add(1) != p.at {
		return
	}
	first()
	if p.children {
		killChildren()
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal may take a moment
}

// killChildren finds them by the parent that each process names; the name before it may have spaces.
func killChildren() {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
