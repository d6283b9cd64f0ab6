package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/auth"
)

// dependency is something that the process needs for a part of its work, and that can be away.
type dependency struct {
	name     string
	embedded bool // this process has started it
	check    func(context.Context) error
	breaker  *breaker.Breaker // nil where calls are never held back
}

// breaker returns a breaker before the dependency of that name; failure is that of [breaker.Options].
func (n *node) breaker(name string, failure func(error) bool) *breaker.Breaker {
	return breaker.New(name, breaker.Options{Failure: failure, Logger: n.logger, Registerer: n.registry})
}

// unavailable tells the errors of the moment from verdicts on what was asked.
func unavailable(err error) bool { return store.KindOf(err) == store.KindUnavailable }

// dependencyStatus is what the API shows of one.
type dependencyStatus struct {
	Name     string `json:"name"`
	Embedded bool   `json:"embedded"`

	// Up says whether it answers now, Error why not.
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"`

	// Breaker is how the calls before this one went; absent where calls are never held back.
	Breaker *breaker.Status `json:"breaker,omitempty"`
}

// dependencyTimeout bounds the checks of one request, which run side by side.
const dependencyTimeout = 5 * time.Second

// addDependencies serves how everything does that this process needs, and shares it with others.
func (n *node) addDependencies() {
	n.shareBreakers()
	for _, prefix := range prefixes {
		n.mux.Handle("GET "+prefix+"/api/v1/status/dependencies", auth.Monitor, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": n.checkDependencies(r.Context())}) // a client that is gone hears nothing
		}))
	}
}

// shareBreakers starts to tell other processes how that does which all of them need, where there is a Redis to tell it by;
// how Redis does everybody sees there and then.
func (n *node) shareBreakers() {
	var shared []*breaker.Breaker
	for _, d := range n.dependencies {
		if d.breaker != nil && !d.embedded && d.name != redisName {
			shared = append(shared, d.breaker)
		}
	}
	if len(shared) == 0 {
		return
	}
	if client := n.redis(); client != nil {
		n.stack.Go("the states of dependencies", breaker.NewShared(client, rand.Text(), shared).Run)
	}
}

func (n *node) checkDependencies(ctx context.Context) []dependencyStatus {
	ctx, cancel := context.WithTimeout(ctx, dependencyTimeout)
	defer cancel()
	all := make([]dependencyStatus, len(n.dependencies))
	var checks sync.WaitGroup
	for i, d := range n.dependencies {
		checks.Go(func() {
			s := dependencyStatus{Name: d.name, Embedded: d.embedded, Up: true}
			if err := d.check(ctx); err != nil {
				s.Up, s.Error = false, err.Error()
			}
			if d.breaker != nil {
				b := d.breaker.Status()
				s.Breaker = &b
			}
			all[i] = s
		})
	}
	checks.Wait()
	return all
}
