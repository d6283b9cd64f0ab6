package redis

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/redis/go-redis/v9"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/internal/testenv"
)

func TestConfig(t *testing.T) {
	for _, good := range []Config{DefaultConfig(), {Address: "redis:6379", Username: "u", Password: "p", DB: 3}} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for key, c := range map[string]Config{
		"redis.address":  {Address: "redis"},
		"redis.db":       {Address: "redis:6379", DB: -1},
		"redis.password": {Address: "redis:6379", Username: "u"},
		"redis.tls":      {Address: "redis:6379", TLS: &config.TLSConfig{CAFile: "none.crt"}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

// TestDatabasesAreApart writes into one database of a real server and looks into another.
func TestDatabasesAreApart(t *testing.T) {
	server := testenv.StartRedis(t)
	one, two := New(Config{Address: server.Address, DB: 1}), New(Config{Address: server.Address, DB: 2})
	defer one.Close()
	defer two.Close()
	if err := one.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := two.Exists(t.Context(), "key").Result(); n != 0 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if v, err := one.Get(t.Context(), "key").Result(); v != "value" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

// TestGuard leaves a server alone that does not answer, and not one that answers with errors.
func TestGuard(t *testing.T) {
	server := testenv.StartRedis(t)
	client := New(Config{Address: server.Address})
	defer client.Close()
	b := breaker.New("Redis", breaker.Options{Failure: Failed, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	Guard(client, b)
	for range 10 {
		if err := client.Get(t.Context(), "none").Err(); !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		if err := client.Do(t.Context(), "NONSENSE").Err(); err == nil {
			t.Fatal("nonsense was answered")
		}
	}
	server.Kill()
	var open *breaker.Open
	for tries := 0; ; tries++ {
		err := client.Get(t.Context(), "none").Err()
		if errors.As(err, &open) {
			break
		}
		if err == nil || tries == 20 {
			t.Fatalf("after %d tries: %v", tries, err)
		}
	}
	pipe := client.Pipeline()
	one := pipe.Get(t.Context(), "none")
	if _, err := pipe.Exec(t.Context()); !errors.As(err, &open) || !errors.As(one.Err(), &open) {
		t.Errorf("a pipeline was tried: %v, %v", err, one.Err())
	}
	server.Restart()
	for client.Ping(t.Context()).Err() != nil {
		time.Sleep(20 * time.Millisecond)
	}
	if s := b.Status(); s.State != "closed" {
		t.Errorf("%+v", s)
	}
}

// TestTLS speaks TLS 1.3 to a server that asks for a client's certificate.
func TestTLS(t *testing.T) {
	authority := testenv.NewAuthority(t)
	server := testenv.StartSecureRedis(t, authority)
	file := func(name string) string { return filepath.Join(authority.Dir, name) }
	c := Config{Address: server.Address, TLS: &config.TLSConfig{CAFile: file("ca.crt"), CertFile: file("client.crt"), KeyFile: file("client.key")}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	client := New(c)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	for name, tls := range map[string]*config.TLSConfig{
		"no TLS": nil, "no certificate": {CAFile: file("ca.crt")}, "no authority": {CertFile: file("client.crt"), KeyFile: file("client.key")},
	} {
		client := New(Config{Address: server.Address, TLS: tls})
		if err := client.Ping(t.Context()).Err(); err == nil {
			t.Errorf("%s: it was let in", name)
		}
		client.Close()
	}
}

// TestAway checks that a server that is not there is an error soon, and works when it is back.
func TestAway(t *testing.T) {
	server := testenv.StartRedis(t)
	client := New(Config{Address: server.Address})
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a dead server answered")
	}
	server.Restart()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}
