package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// TestDependencies takes away, one after the other, what a receiver depends on, and brings it back. Without Kafka it is
// not ready, refuses writes with a status on which senders try again, soon without waiting for the broker, and takes them
// again afterwards. Without Redis and PostgreSQL it goes on.
func TestDependencies(t *testing.T) {
	t.Parallel()
	kafka, redis, postgres := testenv.StartKafka(t), testenv.StartRedis(t), testenv.StartPostgres(t)
	config := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(config, []byte("redis:\n  address: "+redis.Address+"\nremote_write:\n  ha:\n    enabled: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	receiver := start(t, "receiver", t.TempDir(), "--config.file="+config, "--kafka.brokers="+kafka.Address, "--kafka.topic=dependencies",
		"--metadata.dsn="+postgres.DSN, "--web.enable-admin-api")
	write := func(want int) error {
		code := postSamples(receiver.url, "", time.Now().UnixMilli(), 1, 1, map[string]string{"__name__": "m", "cluster": "c", "__replica__": "a"})
		if code != want {
			return fmt.Errorf("a write was answered %d, want %d", code, want)
		}
		return nil
	}
	change := func(want int) error {
		if code := administer(t, "PUT", receiver.url, "/limits", `{}`, nil); code != want {
			return fmt.Errorf("a change was answered %d, want %d", code, want)
		}
		return nil
	}
	all := map[string]string{"Kafka": "up closed", "PostgreSQL": "up closed", "Redis": "up closed"}
	without := func(name, state string) map[string]string {
		m := map[string]string{name: state}
		for n, s := range all {
			if n != name {
				m[n] = s
			}
		}
		return m
	}
	wait := func(want map[string]string, do func() error) {
		t.Helper()
		eventually(t, time.Minute, fmt.Sprint(want), func() error {
			if err := do(); err != nil {
				return err
			}
			if got := dependencies(t, receiver.url); fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("the dependencies are %v", got)
			}
			return nil
		})
	}
	wait(all, func() error { return write(http.StatusNoContent) })

	kafka.Kill()
	wait(without("Kafka", "down open"), func() error { return write(http.StatusServiceUnavailable) })
	if err := status(receiver.url+"/-/ready", http.StatusServiceUnavailable); err != nil {
		t.Error(err)
	}
	eventually(t, time.Minute, "a write that is refused without asking Kafka", func() error {
		if err := write(http.StatusServiceUnavailable); err != nil {
			return err
		}
		if _, body := request(t, receiver.url+"/metrics"); strings.Contains(body, `metricstream_dependency_refused_total{dependency="Kafka"} 0`) {
			return fmt.Errorf("none was refused")
		}
		return nil
	})
	kafka.Restart()
	testenv.WaitOK(t, receiver.Process, receiver.url+"/-/ready", time.Minute)
	wait(all, func() error { return write(http.StatusNoContent) })

	redis.Kill()
	wait(without("Redis", "down open"), func() error { return write(http.StatusNoContent) })
	redis.Restart()
	wait(all, func() error { return write(http.StatusNoContent) })

	postgres.Kill()
	wait(without("PostgreSQL", "down open"), func() error { return change(http.StatusServiceUnavailable) })
	if err := write(http.StatusNoContent); err != nil {
		t.Error(err)
	}
	postgres.Restart()
	wait(all, func() error { return change(http.StatusOK) })
}

// dependencies returns what a process says of them: up or down, and the state of the breaker.
func dependencies(t *testing.T, server string) map[string]string {
	t.Helper()
	_, body := request(t, server+"/api/v1/status/dependencies")
	var answer struct {
		Data []struct {
			Name    string
			Up      bool
			Breaker struct{ State string }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	got := map[string]string{}
	for _, d := range answer.Data {
		got[d.Name] = map[bool]string{true: "up ", false: "down "}[d.Up] + d.Breaker.State
	}
	return got
}

// TestClickHouseAway kills the ClickHouse server of two queriers as often as it comes back, of which one is asked: it answers
// 503 and leaves the server alone, and the other hears of it by Redis. When the server stays both answer again.
func TestClickHouseAway(t *testing.T) {
	t.Parallel()
	redis, own := testenv.StartRedis(t), testenv.StartOwnEngine(t, "")
	config := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(config, []byte("redis:\n  address: "+redis.Address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	querier := func() *node {
		return start(t, "querier", t.TempDir(), "--config.file="+config, "--clickhouse.dsn="+own.DSN())
	}
	asked, idle := querier(), querier()
	does := func(n *node, code int, clickhouse string) error {
		if err := status(n.url+"/api/v1/query?query=up", code); err != nil {
			return err
		}
		if got := dependencies(t, n.url)["ClickHouse"]; got != clickhouse {
			return fmt.Errorf("ClickHouse is %s, want %s", got, clickhouse)
		}
		return nil
	}
	hears := func(others string) error {
		_, body := request(t, idle.url+"/api/v1/status/dependencies")
		return contains(body, `"others":`+others)
	}
	eventually(t, time.Minute, "answers", func() error {
		return errors.Join(does(asked, http.StatusOK, "up closed"), does(idle, http.StatusOK, "up closed"), hears(`{"open":0,"up":1}`))
	})
	eventually(t, time.Minute, "ClickHouse to be away", func() error {
		own.Kill()
		_, body := request(t, asked.url+"/api/v1/query?query=up")
		return errors.Join(contains(body, "ClickHouse is not asked for some seconds"), does(asked, http.StatusServiceUnavailable, "down open"), hears(`{"open":1,"up":0}`))
	})
	eventually(t, time.Minute, "answers again", func() error {
		return errors.Join(does(asked, http.StatusOK, "up closed"), does(idle, http.StatusOK, "up closed"), hears(`{"open":0,"up":1}`))
	})
}
