package ha

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestFailover goes through a fail-over: the first replica is elected, the other one dropped at both receivers until
// the first one was silent for the whole timeout.
func TestFailover(t *testing.T) {
	w := newWorld(2)
	w.want(t, 0, "a", true)
	w.want(t, 0, "b", false)
	w.want(t, 1, "b", false) // which has never heard a
	w.want(t, 1, "a", true)
	w.pass(29 * time.Second)
	w.want(t, 0, "b", false)
	w.want(t, 1, "b", false)
	w.pass(time.Second)
	w.want(t, 1, "b", true)
	w.update(t)
	w.want(t, 0, "a", false)
	w.want(t, 0, "b", true)
	if n := testutil.ToFloat64(w.receivers[0].metrics.changes); n != 1 {
		t.Errorf("receiver 0 saw %v changes", n)
	}
}

// TestStickySenders has each replica write to a receiver of its own, which hear of each other only by the shared state.
func TestStickySenders(t *testing.T) {
	w := newWorld(2)
	for range 100 {
		w.want(t, 0, "a", true)
		w.want(t, 1, "b", false)
		w.pass(w.config.UpdateInterval())
		w.update(t)
	}
	for range 9 { // a is gone
		w.want(t, 1, "b", false)
		w.pass(w.config.UpdateInterval())
		w.update(t)
	}
	w.pass(w.config.UpdateInterval())
	w.want(t, 1, "b", true)
}

// TestSteadyStateAsksNothing counts the questions: requests ask none, the loop one an interval.
func TestSteadyStateAsksNothing(t *testing.T) {
	w := newWorld(1)
	w.want(t, 0, "a", true)
	before := w.shared.asks
	for range 1000 {
		w.want(t, 0, "a", true)
		w.want(t, 0, "b", false)
		w.pass(time.Millisecond)
	}
	if n := w.shared.asks - before; n != 0 {
		t.Errorf("requests asked %d times", n)
	}
	w.update(t)
	if n := w.shared.asks - before; n != 1 {
		t.Errorf("an update asked %d times", n)
	}
}

// TestSharedStateAway takes the shared state away: the elected replica stays, a dead one is replaced all the same, and
// when it is back, empty, it learns what was decided.
func TestSharedStateAway(t *testing.T) {
	w := newWorld(2)
	w.want(t, 0, "a", true)
	w.want(t, 1, "a", true)
	w.shared.fails = true
	w.update(t)
	for range 20 {
		w.want(t, 0, "a", true)
		w.want(t, 1, "a", true)
		w.want(t, 1, "b", false)
		w.pass(10 * time.Second)
		w.update(t)
	}
	if up := gauge(t, w.receivers[0], "metricstream_ha_shared_state_up"); up != "0" {
		t.Errorf("up is %s", up)
	}
	w.pass(30 * time.Second)
	w.want(t, 1, "b", true)
	asks := w.shared.asks
	w.want(t, 1, "b", true)
	w.receivers[1].Accept(t.Context(), "acme", "another", "x")
	if w.shared.asks != asks {
		t.Error("a request asked a state that is known to be away")
	}
	w.shared.fails = false
	clear(w.shared.states)
	w.update(t)
	w.update(t)
	w.want(t, 0, "a", false)
	w.want(t, 0, "b", true)
	if up := gauge(t, w.receivers[0], "metricstream_ha_shared_state_up"); up != "1" {
		t.Errorf("up is %s", up)
	}
}

func gauge(t *testing.T, r *Tracker, name string) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	newMetrics(reg, r)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

// TestConflictAfterAnOutage has both receivers elect on their own; one of the two wins everywhere.
func TestConflictAfterAnOutage(t *testing.T) {
	w := newWorld(2)
	w.shared.fails = true
	w.want(t, 0, "a", true)
	w.want(t, 1, "b", true)
	w.shared.fails = false
	w.update(t)
	if w.accepts(t, 0, "a") == w.accepts(t, 0, "b") || w.accepts(t, 0, "a") != w.accepts(t, 1, "a") || w.accepts(t, 0, "b") != w.accepts(t, 1, "b") {
		t.Error("the receivers still disagree")
	}
}

// TestWithoutSharedState is the default of one process.
func TestWithoutSharedState(t *testing.T) {
	w := newWorld(1)
	w.receivers[0].shared = nil
	w.want(t, 0, "a", true)
	w.want(t, 0, "b", false)
	w.pass(30 * time.Second)
	w.update(t)
	w.want(t, 0, "b", true)
	w.want(t, 0, "a", false)
}

func TestTenantsAndClustersAreApart(t *testing.T) {
	w := newWorld(1)
	for _, k := range []Key{{"a", "x"}, {"b", "x"}, {"a", "y"}} {
		for _, replica := range []string{k.Tenant + k.Cluster, "other"} {
			ok, err := w.receivers[0].Accept(t.Context(), k.Tenant, k.Cluster, replica)
			if err != nil || ok != (replica != "other") {
				t.Errorf("%+v %s: %v, %v", k, replica, ok, err)
			}
		}
	}
	states := w.receivers[0].States("a")
	if len(states) != 2 || states[0].Cluster != "x" || states[0].Replica != "ax" || states[1].Cluster != "y" {
		t.Errorf("got %+v", states)
	}
}

// TestLimit refuses one cluster too many, until another one is forgotten.
func TestLimit(t *testing.T) {
	w := newWorld(1)
	r := w.receivers[0]
	r.config.MaxClusters = 2
	accept := func(tenant, cluster string) error {
		_, err := r.Accept(t.Context(), tenant, cluster, "a")
		return err
	}
	for _, cluster := range []string{"1", "2", "1"} {
		if err := accept("acme", cluster); err != nil {
			t.Error(err)
		}
	}
	err := accept("acme", "3")
	if !errors.Is(err, ErrTooManyClusters) || store.KindOf(err) != store.KindLimit || !strings.Contains(err.Error(), "remote_write.ha.max_clusters") {
		t.Errorf("got %v", err)
	}
	if err := accept("other", "3"); err != nil {
		t.Error(err)
	}
	w.pass(forgetAfter / 2)
	if err := accept("acme", "2"); err != nil {
		t.Error(err)
	}
	w.pass(forgetAfter/2 + time.Second)
	w.update(t)
	if err := accept("acme", "3"); err != nil {
		t.Error(err)
	}
	if len(r.clusters) != 2 || r.perTenant["acme"] != 2 || len(r.perTenant) != 1 {
		t.Errorf("%d clusters, %v", len(r.clusters), r.perTenant)
	}
}

// TestOneQuestionAtATime lets many requests of a new cluster come at once while the shared state does not answer:
// one waits for it, the others for the one, and a sender that goes away is let go.
func TestOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &silent{}
		r := New(DefaultConfig(), Options{Shared: shared, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		begin := time.Now()
		done := make(chan bool)
		for range 20 {
			go func() {
				ok, err := r.Accept(t.Context(), "acme", "prod", "a")
				done <- ok && err == nil
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Accept(ctx, "acme", "prod", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		for range 20 {
			if !<-done {
				t.Error("a request was not taken")
			}
		}
		if waited := time.Since(begin); shared.asks != 1 || waited != askTimeout {
			t.Errorf("%d questions in %v", shared.asks, waited)
		}
	})
}

// silent is a shared state behind a network that swallows everything.
type silent struct{ asks int }

func (s *silent) Ask(ctx context.Context, _ []Ask) ([]View, error) {
	s.asks++
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestRun checks that the loop updates every interval and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &memory{failover: time.Minute, now: time.Now, states: map[Key]memoryState{}}
		r := New(DefaultConfig(), Options{Shared: shared, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(10*r.config.UpdateInterval() + time.Millisecond)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if shared.asks != 10 {
			t.Errorf("%d questions", shared.asks)
		}
	})
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(*Config){
		"cluster_label":    func(c *Config) { c.ClusterLabel = "" },
		"replica_label":    func(c *Config) { c.ReplicaLabel = "__name__" },
		"replica_label is": func(c *Config) { c.ReplicaLabel = c.ClusterLabel },
		"failover_timeout": func(c *Config) { c.FailoverTimeout = 0 },
		"max_clusters":     func(c *Config) { c.MaxClusters = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "remote_write.ha."+key) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestMetricsCanBeScraped(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	New(DefaultConfig(), Options{Logger: slog.New(slog.DiscardHandler), Registerer: reg})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func BenchmarkAccept(b *testing.B) {
	w := newWorld(1)
	w.accepts(b, 0, "a")
	for _, replica := range []string{"a", "b"} {
		b.Run(replica, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.receivers[0].Accept(b.Context(), "acme", "prod", replica)
			}
		})
	}
}

// TestOldAnswer lets an answer of an earlier term arrive late, and two of one term meet.
func TestOldAnswer(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	c := newCluster(Key{"acme", "prod"}, now)
	for i, step := range []struct {
		view     View
		want     string
		replaced string
	}{
		{View{}, "", ""},
		{View{Replica: "a", Term: 5}, "a", ""},
		{View{Replica: "b", Term: 6}, "b", "a"},
		{View{Replica: "a", Term: 5}, "b", ""},
		{View{Replica: "b", Term: 7}, "b", ""},
		{View{Replica: "c", Term: 7}, "c", "b"},
	} {
		if replaced := c.apply(step.view, now); replaced != step.replaced || c.view(now).Replica != step.want {
			t.Errorf("step %d: %q replaced, %q elected", i, replaced, c.view(now).Replica)
		}
	}
}
