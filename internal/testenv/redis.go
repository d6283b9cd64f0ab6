package testenv

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Redis is a real Redis server on loopback that keeps nothing on disk.
type Redis struct {
	// Address is host:port. It stays the same over Restart.
	Address string

	t       testing.TB
	secure  *Authority // nil: connections are plain
	command []string
	dir     string
	process *Process
}

const redisStartTimeout = 30 * time.Second

// StartRedis starts a Redis server without data. It is killed when the test ends.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, nil)
}

// StartSecureRedis starts a server that speaks only TLS, with clients that have a certificate of the authority.
func StartSecureRedis(t testing.TB, a *Authority) *Redis {
	t.Helper()
	return startRedis(t, a)
}

func startRedis(t testing.TB, a *Authority) *Redis {
	t.Helper()
	command, err := FetchRedis(t.Context(), CacheDir(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Address: FreeAddress(t), t: t, secure: a, command: command, dir: t.TempDir()}
	r.Restart()
	return r
}

// Kill ends the server by SIGKILL.
func (r *Redis) Kill() { r.process.Kill() }

// Restart starts the server again on the same address, without data, after Kill.
func (r *Redis) Restart() {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		r.t.Fatal(err)
	}
	args := append(r.command[1:len(r.command):len(r.command)], "--bind", host, "--save", "", "--appendonly", "no", "--dir", r.dir)
	args = append(args, r.listen(port)...)
	r.process = StartProcess(r.t, r.dir, r.command[0], args...)
	for deadline := time.Now().Add(redisStartTimeout); ; time.Sleep(20 * time.Millisecond) {
		if err = r.ping(); err == nil {
			return
		}
		if r.process.Exited() || time.Now().After(deadline) {
			r.t.Fatalf("Redis did not start: %v\n%s", err, tail(r.process.Log))
		}
	}
}

func (r *Redis) listen(port string) []string {
	if r.secure == nil {
		return []string{"--port", port}
	}
	file := func(name string) string { return filepath.Join(r.secure.Dir, name) }
	return []string{
		"--port", "0", "--tls-port", port, "--tls-protocols", "TLSv1.3", "--tls-auth-clients", "yes",
		"--tls-cert-file", file("server.crt"), "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.crt"),
	}
}

// ping asks the server as its protocol has it.
func (r *Redis) ping() error {
	conn, err := net.DialTimeout("tcp", r.Address, time.Second)
	if err == nil && r.secure != nil {
		c := r.secure.Client(r.t)
		c.ServerName, _, _ = net.SplitHostPort(r.Address)
		conn = tls.Client(conn, c)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG"))
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if string(answer) != "+PONG" {
		return fmt.Errorf("PING was answered with %q", answer)
	}
	return nil
}

// FetchRedis returns the command that runs a Redis server: the machine's own, or Debian's, which it brings into the
// cache folder, with the libraries that it needs, where it is not there yet.
func FetchRedis(ctx context.Context, cacheDir string) (command []string, err error) {
	if path, err := exec.LookPath("redis-server"); err == nil {
		return []string{path}, nil
	}
	const install = "or install it yourself (Debian: apt-get install redis-server)"
	loader, err := fetchDebianLibraries(ctx, cacheDir, "libjemalloc2", "liblzf1", "libatomic1")
	if err != nil {
		return nil, fmt.Errorf("%w, %s", err, install)
	}
	// redis-server is a link to this program, which is told by its name what to be.
	program, err := fetchDebian(ctx, cacheDir, "redis-tools", "usr/bin/redis-check-rdb")
	if err != nil {
		return nil, fmt.Errorf("%w, %s", err, install)
	}
	server := filepath.Join(filepath.Dir(program), "redis-server")
	if err := os.Symlink("redis-check-rdb", server); err != nil && !os.IsExist(err) {
		return nil, fmt.Errorf("cannot link Redis' server: %w", err)
	}
	return append(loader, server), nil
}

// fetchDebianLibraries brings libraries of Debian into the cache folder and returns the beginning of a command that
// finds them.
func fetchDebianLibraries(ctx context.Context, cacheDir string, packages ...string) (command []string, err error) {
	path := ""
	for _, pkg := range packages {
		if _, err := fetchDebian(ctx, cacheDir, pkg, "usr/lib"); err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(cacheDir, "debian-"+pkg, "usr/lib/*-linux-gnu"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("cannot find the libraries of Debian's %s for %s: there are %d folders", pkg, runtime.GOARCH, len(found))
		}
		path += found[0] + ":"
	}
	return []string{"env", "LD_LIBRARY_PATH=" + path[:len(path)-1]}, nil
}
