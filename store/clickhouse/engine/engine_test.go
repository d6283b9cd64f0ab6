package engine_test

import (
	"context"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func open(t testing.TB, dsn string) clickhouse.Conn {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestStart_Answers(t *testing.T) {
	conn := open(t, testenv.StartEngine(t))
	var version, user string
	if err := conn.QueryRow(context.Background(), "SELECT version(), currentUser()").Scan(&version, &user); err != nil {
		t.Fatal(err)
	}
	if user != "metricstream" || version < "25.9" {
		t.Errorf("user %q, version %q", user, version)
	}
}
