package clickhouse_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var databases atomic.Int32

// configOf returns the configuration of a new database in the engine that the tests share.
func configOf(t testing.TB) clickhouse.Config {
	t.Helper()
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/test_%d_%d", time.Now().UnixNano(), databases.Add(1))
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	return cfg
}

// open opens a store over a new database.
func open(t testing.TB) *clickhouse.Store {
	t.Helper()
	return openWith(t, configOf(t))
}

func openWith(t testing.TB, cfg clickhouse.Config) *clickhouse.Store {
	t.Helper()
	s, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
