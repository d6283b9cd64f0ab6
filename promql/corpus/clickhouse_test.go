package corpus_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store/clickhouse"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// openClickHouse opens a new database of the engine that the tests share.
func openClickHouse(t *testing.T) *clickhouse.Store {
	t.Helper()
	u, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/corpus_%d", time.Now().UnixNano())
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{})
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

func TestRemoteWriteToClickHouse(t *testing.T) {
	s := openClickHouse(t)
	check(t, newFront(s, s))
}
