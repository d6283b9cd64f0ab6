package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestEngineAway stops the engine's process, as a deadlock would stop its threads: it lives and answers nothing.
// Then it kills the engine. Both times writes go on, queries say 503, and in the end everything is there.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	var table table
	defer table.print(t, "embedded, engine away")
	rounds(t, func(t *testing.T, round int) { newNode(t, "all").loseEngine(t, round, &table) })
}

func (n *node) loseEngine(t *testing.T, round int, table *table) {
	t.Helper()
	n.startReady(t)
	l := startLoad(t, n.address, label("engine hangs", round))
	n.awaitLoad(t, l)
	before := n.engine()
	n.signalEngine(t, syscall.SIGSTOP)
	table.row("engine hangs").kills++
	eventually(t, "queries answer 503", n.unavailable)
	n.awaitLoad(t, l)
	n.awaitNewEngine(t, before)
	n.awaitRestarts(t, "hung")

	l.mark(label("engine killed before a query", round))
	eventually(t, "queries answer 503", func() error {
		before = n.engine()
		n.signalEngine(t, syscall.SIGKILL)
		table.row("engine killed before a query").kills++
		return n.unavailable() // it may be back already
	})
	n.awaitLoad(t, l)
	n.awaitNewEngine(t, before)
	n.awaitRestarts(t, "died")
	l.finish(t)
	verify(t, n.url(), l, table)
	n.replay(t, len(l.acked)*perRequest)
}

// signalEngine sends a signal to the engine, which it waits for.
func (n *node) signalEngine(t *testing.T, signal syscall.Signal) {
	t.Helper()
	eventually(t, "there is an engine", func() error {
		pid := n.engine()
		if pid == 0 {
			return errors.New("there is none")
		}
		return syscall.Kill(pid, signal)
	})
}

// unavailable asks a query and returns nil where the answer is 503 in the envelope that clients read. A query that
// hangs with its engine ends by its own time limit.
func (n *node) unavailable() error {
	resp, err := client.Get(n.url() + "/api/v1/query?query=chaos&timeout=1s")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var envelope struct{ Status, ErrorType, Error string }
	if err := json.Unmarshal(body, &envelope); err != nil {
		return fmt.Errorf("%s without an envelope: %s", resp.Status, body)
	}
	known := envelope.ErrorType == "unavailable" || envelope.ErrorType == "timeout"
	if resp.StatusCode != http.StatusServiceUnavailable || envelope.Status != "error" || !known || envelope.Error == "" {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

// awaitRestarts waits until the metric says that the engine was restarted for the reason.
func (n *node) awaitRestarts(t *testing.T, reason string) {
	t.Helper()
	none := fmt.Sprintf("metricstream_engine_restarts_total{reason=%q} 0\n", reason)
	eventually(t, "the restart is counted", func() error {
		resp, err := client.Get(n.url() + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), "restarts_total{") || strings.Contains(string(body), none) {
			return fmt.Errorf("%s%v", none, err)
		}
		return nil
	})
}
