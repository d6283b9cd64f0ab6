package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc/PID/stat: USER_HZ, which Linux fixes at 100.
const ticksPerSecond = 100

// Usage is what a process tree has used.
type Usage struct {
	// CPUSeconds is user and system time of all processes of the tree, and of their ended children.
	CPUSeconds float64 `json:"cpu_seconds"`
	// RSSBytes is the resident memory of all processes; pages that two of them share count twice, and so do
	// mapped files. AnonBytes is the part that is not files.
	RSSBytes  int64 `json:"rss_bytes"`
	AnonBytes int64 `json:"anon_bytes"`
	Processes int   `json:"processes"`
}

// stat is what this package reads of /proc/PID/stat.
type stat struct {
	ppid  int
	ticks int64 // utime, stime and those of waited-for children
}

// parseStat reads the text of /proc/PID/stat. The command's name may hold spaces and parentheses: fields are
// counted from its last closing one.
func parseStat(text []byte) (stat, error) {
	_, rest, ok := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(" "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 15 {
		return stat{}, fmt.Errorf("cannot read %q as /proc/PID/stat", text)
	}
	var s stat
	var err error
	if s.ppid, err = strconv.Atoi(fields[1]); err != nil {
		return stat{}, fmt.Errorf("cannot read parent in %q: %w", text, err)
	}
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("cannot read times in %q: %w", text, err)
		}
		s.ticks += n
	}
	return s, nil
}

// treeUsage adds up the trees below the roots. A tree that overlaps another counts once.
func treeUsage(roots []int) (Usage, error) {
	stats, err := allStats()
	if err != nil {
		return Usage{}, err
	}
	children := map[int][]int{}
	for pid, s := range stats {
		children[s.ppid] = append(children[s.ppid], pid)
	}
	var u Usage
	seen := map[int]bool{}
	for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		s, alive := stats[pid]
		if !alive || seen[pid] {
			continue
		}
		seen[pid] = true
		u.Processes++
		u.CPUSeconds += float64(s.ticks) / ticksPerSecond
		u.RSSBytes += statusBytes(pid, "VmRSS:")
		u.AnonBytes += statusBytes(pid, "RssAnon:")
		queue = append(queue, children[pid]...)
	}
	if u.Processes == 0 {
		return u, fmt.Errorf("cannot measure target: none of the processes %v runs", roots)
	}
	return u, nil
}

func allStats() (map[int]stat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	stats := map[int]stat{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(text); err == nil {
			stats[pid] = s
		}
	}
	return stats, nil
}

// statusBytes returns a size of /proc/PID/status, 0 when the process has ended.
func statusBytes(pid int, key string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// listeners returns the processes that listen on the port of a URL, none when its host is not loopback or
// when they may not be looked at.
func listeners(rawURL string) ([]int, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("cannot read URL %q: %w", rawURL, err)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, nil
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return nil, nil
	}
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		listeningInodes(string(text), port, inodes)
	}
	return socketOwners(inodes), nil
}

// listeningInodes adds the sockets in the text of /proc/net/tcp that listen on a port.
func listeningInodes(text string, port int, inodes map[string]bool) {
	const listen = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == listen && strings.HasSuffix(f[1], suffix) {
			inodes["socket:["+f[9]+"]"] = true
		}
	}
}

func socketOwners(sockets map[string]bool) []int {
	if len(sockets) == 0 {
		return nil
	}
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration { return rusage(unix.RUSAGE_SELF) }

// threadCPU returns the CPU time of the calling thread.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func rusage(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
