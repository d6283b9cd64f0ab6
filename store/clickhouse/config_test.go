package clickhouse_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct{ dsn, want string }{
		{"clickhouse://127.0.0.1:9000", ""},
		{"clickhouse://u:p@a:9000,b:9000/db?secure=true&compress=lz4&dial_timeout=3s", ""},
		{"", ""}, // the embedded engine's is filled in later
		{"http://127.0.0.1:8123/db", "native port"},
		{"clickhouse://u:secret@127.0.0.1:9000/db?dial_timeout=x", "dsn cannot be parsed"},
		{"::", "dsn cannot be parsed"},
	} {
		cfg := clickhouse.DefaultConfig()
		cfg.DSN = c.dsn
		err := cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q is refused: %v", c.dsn, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%q: %v, wanted %q", c.dsn, err, c.want)
		}
	}
	cfg := clickhouse.Config{DSN: "clickhouse://127.0.0.1:9000"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("no connections: %v", err)
	}
}

func TestOpenWithoutServer(t *testing.T) {
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = "clickhouse://127.0.0.1:1/db?dial_timeout=1s"
	if _, err := clickhouse.Open(context.Background(), clickhouse.DefaultConfig(), clickhouse.Options{}); store.KindOf(err) != store.KindInvalid {
		t.Errorf("opened a store without a DSN: %v", err)
	}
	if _, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{}); err == nil || store.KindOf(err) != store.KindUnavailable {
		t.Errorf("opened nothing: %v", err)
	}
}

// A wrong password is for an operator to mend; trying it for ever would only hide it.
func TestOpenWithWrongPassword(t *testing.T) {
	cfg := configOf(t)
	u, err := url.Parse(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("nobody", "wrong")
	cfg.DSN = u.String()
	if _, err := clickhouse.Open(context.Background(), cfg, clickhouse.Options{}); store.KindOf(err) != store.KindInvalid {
		t.Errorf("opened with a wrong password: %v", err)
	}
}
