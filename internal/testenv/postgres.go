package testenv

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"
)

// Postgres is a real PostgreSQL server on loopback.
type Postgres struct {
	// DSN is postgres://... It stays the same over Restart.
	DSN string

	t       testing.TB
	command []string // runs a program of the server as its user
	bin     string
	dir     string
	address string
	process *Process

	settings []string // further arguments of the server
}

const postgresStartTimeout = time.Minute

// nobody is Debian's user without rights. PostgreSQL refuses to run as root.
const nobody = "65534"

// StartPostgres starts a PostgreSQL server with an empty database. It is killed when the test ends.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	return startPostgres(t, nil)
}

// StartSecurePostgres starts a server that lets in only who speaks TLS and has a certificate of the authority.
func StartSecurePostgres(t testing.TB, a *Authority) *Postgres {
	t.Helper()
	return startPostgres(t, a)
}

func startPostgres(t testing.TB, a *Authority) *Postgres {
	t.Helper()
	server, err := FetchPostgres(t.Context(), CacheDir(t))
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir, into which only the test's own user can go.
	dir, err := os.MkdirTemp("/tmp", "metricstream-postgres-*")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{t: t, bin: server.Bin, dir: dir, address: FreeAddress(t)}
	t.Cleanup(p.remove)
	p.DSN = "postgres://postgres@" + p.address + "/postgres?sslmode=disable"
	libraries := server.Libraries
	if os.Geteuid() == 0 {
		if server.Root != "" {
			p.run("cp", "-r", server.Root, filepath.Join(dir, "server"))
			p.bin = filepath.Join(dir, "server", must(filepath.Rel(server.Root, server.Bin)))
			for i, l := range libraries {
				libraries[i] = filepath.Join(dir, "server", must(filepath.Rel(server.Root, l)))
			}
		}
		p.run("chown", "-R", nobody+":"+nobody, dir)
		p.command = []string{"setpriv", "--reuid=" + nobody, "--regid=" + nobody, "--clear-groups"}
	}
	p.command = append(p.command, "env", "LC_ALL=C.UTF-8", "TZ=UTC")
	if len(libraries) > 0 {
		p.command = append(p.command, "LD_LIBRARY_PATH="+joinPaths(libraries))
	}
	p.run(append(p.command[:len(p.command):len(p.command)], filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")...)
	if a != nil {
		p.secure(a)
	}
	p.Restart()
	return p
}

// secure asks for TLS and clients' certificates from the next start on.
func (p *Postgres) secure(a *Authority) {
	for _, name := range []string{"server.crt", "server.key", "ca.crt"} {
		p.run("cp", filepath.Join(a.Dir, name), p.data())
		if p.command[0] == "setpriv" {
			p.run("chown", nobody+":"+nobody, filepath.Join(p.data(), name))
		}
	}
	hba := filepath.Join(p.dir, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.settings = []string{"-c", "ssl=on", "-c", "ssl_min_protocol_version=TLSv1.3", "-c", "ssl_ca_file=ca.crt", "-c", "hba_file=" + hba}
	file := func(name string) string { return url.QueryEscape(filepath.Join(a.Dir, name)) }
	p.DSN = "postgres://postgres@" + p.address + "/postgres?sslmode=verify-full&sslrootcert=" + file("ca.crt") + "&sslcert=" + file("client.crt") + "&sslkey=" + file("client.key")
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) run(command ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), command[0], command[1:]...)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("cannot run %v: %v\n%s", command, err, out)
	}
}

// remove deletes the server's folder. Its processes end by themselves soon after the first of them was killed.
func (p *Postgres) remove() {
	for range 100 {
		if os.RemoveAll(p.dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Errorf("cannot remove %s", p.dir)
}

// Kill ends the server by SIGKILL: all of its processes, because one that serves a connection may do one more thing
// before it sees that the first is gone.
func (p *Postgres) Kill() {
	p.signal(syscall.SIGKILL)
	p.process.Kill()
}

// Hang stops all of the server's processes where they are, as a machine does that is out of memory, until Continue.
func (p *Postgres) Hang() { p.signal(syscall.SIGSTOP) }

// Continue ends Hang.
func (p *Postgres) Continue() { p.signal(syscall.SIGCONT) }

// signal reaches the first process and those that it has made, each of which leads a group of its own.
func (p *Postgres) signal(s syscall.Signal) {
	first := p.process.Cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, pid := range append(strings.Fields(string(children)), fmt.Sprint(first)) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := syscall.Kill(n, s); err != nil && err != syscall.ESRCH {
			p.t.Fatal(err)
		}
	}
}

// Restart starts the server again on the same address, with its data, after Kill.
func (p *Postgres) Restart() {
	p.t.Helper()
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	args := append(p.command[1:len(p.command):len(p.command)], filepath.Join(p.bin, "postgres"), "-D", p.data(), "-h", host, "-p", port,
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "jit=off", "-c", "shared_buffers=16MB", "-c", "max_connections=50")
	args = append(args, p.settings...)
	for deadline := time.Now().Add(postgresStartTimeout); ; time.Sleep(50 * time.Millisecond) {
		// After a kill the old server's children may hold its memory for a moment; then a new server ends at once.
		if p.process == nil || p.process.Exited() {
			p.process = StartProcess(p.t, p.dir, p.command[0], args...)
		}
		if err = p.ping(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("PostgreSQL did not start: %v\n%s", err, tail(p.process.Log))
		}
	}
}

func (p *Postgres) ping() error {
	db, err := sql.Open("postgres", p.DSN+"&connect_timeout=2")
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

// NewDatabase creates another, empty database in the server and returns its DSN.
func (p *Postgres) NewDatabase(name string) string {
	p.t.Helper()
	db, err := sql.Open("postgres", p.DSN)
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(p.t.Context(), `CREATE DATABASE "`+name+`"`); err != nil {
		p.t.Fatal(err)
	}
	return "postgres://postgres@" + p.address + "/" + name + "?sslmode=disable"
}
