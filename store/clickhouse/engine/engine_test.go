package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		runParent(dir)
		return
	}
	testenv.Main(m)
}

// open connects to an engine, as the user of the DSN unless change says otherwise.
func open(t testing.TB, dsn string, change func(*clickhouse.Options)) clickhouse.Conn {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	o.DialTimeout = 5 * time.Second
	if change != nil {
		change(o)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func execute(t testing.TB, conn clickhouse.Conn, query string) {
	t.Helper()
	if err := conn.Exec(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// text returns the one value that a query gives, as text.
func text(t testing.TB, conn clickhouse.Conn, query string) string {
	t.Helper()
	var s string
	if err := conn.QueryRow(t.Context(), "SELECT toString(x) FROM ("+query+")").Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

// endless is a query that runs until it is killed, and uses little of the machine.
const endless = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sleepEachRow(0.001)) SETTINGS max_block_size = 100"

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func options(t testing.TB, dir string) engine.Options {
	t.Helper()
	library, err := testenv.Library()
	if err != nil {
		t.Fatal(err)
	}
	return engine.Options{Dir: dir, Library: library, Args: []string{}, Env: []string{"METRICSTREAM_ENGINE_HOST=1"}}
}

func start(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestStart_AnswersLikeAServer(t *testing.T) {
	conn := open(t, testenv.StartEngine(t), nil)
	if got := text(t, conn, "SELECT currentUser() AS x"); got != "metricstream" {
		t.Errorf("the user is %q", got)
	}
	if got := text(t, conn, "SELECT version() AS x"); got < "26" {
		t.Errorf("the version is %q", got)
	}
	// Nobody prunes log tables, so there must be none.
	if got := text(t, conn, "SELECT count() AS x FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'"); got != "0" {
		t.Errorf("%s log tables", got)
	}
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_threads": 1, "log_comment": "who asked"}))
	var threads uint64
	if err := conn.QueryRow(ctx, "SELECT getSetting('max_threads')::UInt64").Scan(&threads); err != nil || threads != 1 {
		t.Errorf("max_threads is %d, %v", threads, err)
	}
}

func TestStart_ExternalTables(t *testing.T) {
	conn := open(t, testenv.StartEngine(t), nil)
	table, err := ext.NewTable("ids", ext.Column("id", "UInt64"))
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(1000) {
		if err := table.Append(id); err != nil {
			t.Fatal(err)
		}
	}
	var n uint64
	ctx := clickhouse.Context(t.Context(), clickhouse.WithExternalTable(table))
	if err := conn.QueryRow(ctx, "SELECT count() FROM numbers(5000) WHERE number IN (SELECT id FROM ids)").Scan(&n); err != nil || n != 1000 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestStart_KillQueryAndConnectionsSideBySide(t *testing.T) {
	conn := open(t, testenv.StartEngine(t), func(o *clickhouse.Options) { o.MaxOpenConns, o.MaxIdleConns = 20, 20 })
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(fmt.Sprintf("victim-%d", i)))
			var n uint64
			errs[i] = conn.QueryRow(ctx, endless).Scan(&n)
		})
	}
	const running = "SELECT count() AS x FROM system.processes WHERE query_id LIKE 'victim-%'"
	eventually(t, "ten queries at once", func() bool { return text(t, conn, running) == "10" })
	execute(t, conn, "KILL QUERY WHERE query_id LIKE 'victim-%' SYNC")
	wg.Wait()
	for i, err := range errs {
		if e := (&clickhouse.Exception{}); !errors.As(err, &e) || e.Code != 394 {
			t.Errorf("query %d ended with %v", i, err)
		}
	}
}

func TestStart_SecondInOneFolderSaysSo(t *testing.T) {
	o := options(t, t.TempDir())
	first := start(t, o)
	_, err := engine.Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "another process has one running there") {
		t.Errorf("the second start said %v", err)
	}
	if got := text(t, open(t, first.DSN(), nil), "SELECT 1 AS x"); got != "1" {
		t.Errorf("the first answers %q", got)
	}
}

func TestStart_TwoFoldersSideBySide(t *testing.T) {
	a, b := start(t, options(t, t.TempDir())), start(t, options(t, t.TempDir()))
	connA, connB := open(t, a.DSN(), nil), open(t, b.DSN(), nil)
	execute(t, connA, "CREATE TABLE only_in_a (n UInt8) ENGINE = MergeTree ORDER BY n")
	if got := text(t, connB, "SELECT count() AS x FROM system.tables WHERE name = 'only_in_a'"); got != "0" {
		t.Error("the engines share their tables")
	}
}

func TestStart_KeepsToItsFolder(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(t.TempDir(), `odd & <name> "with" 'quotes' ü`)
	o := options(t, dir)
	o.Env = append(o.Env, "HOME="+home, "TMPDIR="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home)
	e := start(t, o)
	conn := open(t, e.DSN(), nil)
	execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(t, conn, "INSERT INTO t SELECT number FROM numbers(100000)")
	if got := text(t, conn, "SELECT count() AS x FROM system.tables WHERE name = 't' AND NOT startsWith(data_paths[1], '"+strings.ReplaceAll(dir, "'", `\'`)+"/data/')"); got != "0" {
		t.Error("the table's data is elsewhere")
	}
	left, err := os.ReadDir(home)
	if err != nil || len(left) != 0 {
		t.Errorf("the engine left %v outside its folder, %v", left, err)
	}
	info, err := os.Stat(filepath.Join(dir, "users.xml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the password's hash: %v, %v", info.Mode(), err)
	}
}

// TestStart_RefusesOtherUsers and the next test would end the engine if its own error handler were in force.
func TestStart_RefusesOtherUsers(t *testing.T) {
	e := start(t, options(t, t.TempDir()))
	pid := e.PID()
	for name, change := range map[string]func(*clickhouse.Options){
		"wrong password":   func(o *clickhouse.Options) { o.Auth.Password = "wrong" },
		"no password":      func(o *clickhouse.Options) { o.Auth.Password = "" },
		"default user":     func(o *clickhouse.Options) { o.Auth.Username, o.Auth.Password = "default", "" },
		"unknown user":     func(o *clickhouse.Options) { o.Auth.Username = "somebody" },
		"unknown database": func(o *clickhouse.Options) { o.Auth.Database = "nowhere" },
	} {
		err := open(t, e.DSN(), change).Ping(t.Context())
		if refusal := (&clickhouse.Exception{}); !errors.As(err, &refusal) {
			t.Errorf("%s: %v instead of a refusal", name, err)
		}
	}
	if got := text(t, open(t, e.DSN(), nil), "SELECT 1 AS x"); got != "1" || e.PID() != pid {
		t.Errorf("answer %q of process %d, was %d", got, e.PID(), pid)
	}
}

func TestStart_SurvivesClientsThatBreakOff(t *testing.T) {
	e := start(t, options(t, t.TempDir()))
	pid := e.PID()
	conn := open(t, e.DSN(), nil)
	execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	o, err := clickhouse.ParseDSN(e.DSN())
	if err != nil {
		t.Fatal(err)
	}
	var hello proto.Buffer
	proto.ClientHello{Name: "test", ProtocolVersion: proto.Version, User: o.Auth.Username, Password: o.Auth.Password}.Encode(&hello)
	for _, sent := range []string{"", "\x00", "GET / HTTP/1.0\r\n\r\n", "\xff\xfe\xfd garbage", string(hello.Buf), string(hello.Buf[:8])} {
		for _, linger := range []int{-1, 0} { // zero resets the connection
			raw, err := net.Dial("tcp", o.Addr[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := raw.Write([]byte(sent)); err != nil {
				t.Error(err)
			}
			if err := errors.Join(raw.(*net.TCPConn).SetLinger(linger), raw.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	client := ch.Options{Address: o.Addr[0], User: o.Auth.Username, Password: o.Auth.Password}
	rows := make(proto.ColUInt64, 100_000)
	for i := range 40 { // cancelled in the handshake, in a query, between and within the blocks of an insert
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		if c, err := ch.Dial(ctx, client); err == nil {
			c.Close()
		}
		cancel()
		c, err := ch.Dial(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		if i%2 == 0 {
			_ = c.Do(ctx, ch.Query{Body: "INSERT INTO t VALUES", Input: proto.Input{{Name: "n", Data: rows}}, OnInput: func(context.Context) error { return nil }})
		} else {
			var out proto.ColUInt64
			_ = c.Do(ctx, ch.Query{Body: "SELECT number FROM numbers(1000000000)", Result: proto.Results{{Name: "number", Data: &out}}})
		}
		cancel()
		c.Close()
	}
	if got := text(t, conn, "SELECT 1 AS x"); got != "1" || e.PID() != pid {
		t.Errorf("answer %q of process %d, was %d", got, e.PID(), pid)
	}
}

func TestStart_SignalsOfTheTerminalDoNotEndTheEngine(t *testing.T) {
	e := start(t, options(t, t.TempDir()))
	pid := e.PID()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(t, open(t, e.DSN(), nil), "SELECT 1 AS x"); got != "1" || e.PID() != pid {
		t.Errorf("answer %q of process %d, was %d", got, e.PID(), pid)
	}
}

func TestStart_SaysWhatIsWrong(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(broken, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := options(t, t.TempDir())
	for name, c := range map[string]struct {
		change func(*engine.Options)
		want   string
	}{
		"no folder":       {func(o *engine.Options) { o.Dir = "" }, "required"},
		"folder a file":   {func(o *engine.Options) { o.Dir = broken }, "cannot make the ClickHouse engine's folder"},
		"library missing": {func(o *engine.Options) { o.Library = "/nonexistent.so" }, "cannot load the ClickHouse engine's library /nonexistent.so"},
		"library broken":  {func(o *engine.Options) { o.Library = broken }, "cannot load the ClickHouse engine's library"},
		"no executable":   {func(o *engine.Options) { o.Executable = "/nonexistent" }, "cannot start the ClickHouse engine's host"},
	} {
		o := good
		c.change(&o)
		_, err := engine.Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", name, err, c.want)
		}
	}
	start(t, good) // none of the failures left a lock behind
}
