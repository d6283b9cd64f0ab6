// Package corpus runs Prometheus' own PromQL tests over a whole write and read path. It owns the way from the
// tests' appender into that path and the count of what passed; the path itself is the caller's [Pipeline]. It is
// for tests only.
package corpus

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// Pipeline is a way in and a way out of what is tested. Its methods are called from several goroutines.
type Pipeline interface {
	// Write hands over one request for the tenant; nil means that it was acknowledged.
	Write(ctx context.Context, tenant string, r *Request) error

	// Visible returns when all that was acknowledged to the tenant can be read.
	Visible(ctx context.Context, tenant string) error

	// Queryable reads for the tenant of the context.
	Queryable() storage.Queryable
}

// Result counts what passed. The evaluations of a file that fails are counted as failed, all of them.
type Result struct {
	Files, Evaluations             int
	PassedFiles, PassedEvaluations int
}

// String says how many files and evaluations passed.
func (r Result) String() string {
	return fmt.Sprintf("%d of %d files, %d of %d evaluations", r.PassedFiles, r.Files, r.PassedEvaluations, r.Evaluations)
}

// Run runs all tests, several files at once: each test's store is a tenant of its own that no other uses.
func Run(t *testing.T, engine promql.QueryEngine, p Pipeline) Result {
	t.Helper()
	c := &counter{evaluations: evaluations(t)}
	var tenants atomic.Int64
	t.Run("files", func(t *testing.T) {
		promqltest.RunBuiltinTestsWithStorage(parallel{t, c}, engine, func(testing.TB) storage.Storage {
			return &testStorage{pipeline: p, tenant: fmt.Sprintf("corpus-%d", tenants.Add(1))}
		})
	})
	for _, n := range c.evaluations {
		c.result.Files++
		c.result.Evaluations += n
	}
	return c.result
}

// counter adds up the files that pass.
type counter struct {
	evaluations map[string]int
	mu          sync.Mutex
	result      Result
}

func (c *counter) passed(t *testing.T, file string) {
	n, ok := c.evaluations[file]
	if !ok {
		t.Errorf("the test file %q is not among those that were counted", file)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.PassedFiles++
	c.result.PassedEvaluations += n
}

// parallel is the test that the suite starts its files under.
type parallel struct {
	*testing.T
	counter *counter
}

// Run starts a file beside the others.
func (p parallel) Run(file string, f func(*testing.T)) bool {
	return p.T.Run(path.Base(file), func(t *testing.T) {
		t.Parallel()
		defer func() {
			if !t.Failed() {
				p.counter.passed(t, file)
			}
		}()
		f(t)
	})
}

// evaluations counts the evaluations of each file. The suite keeps its files to itself, so they are read from the
// module's sources; their sum is held against the number of expressions that the suite itself parses.
func evaluations(t *testing.T) map[string]int {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatalf("cannot find the sources of Prometheus: %v", err)
	}
	root := os.DirFS(filepath.Join(strings.TrimSpace(string(out)), "promql", "promqltest"))
	files, err := fs.Glob(root, "*/*.test")
	if err != nil {
		t.Fatal(err)
	}
	counts, sum := map[string]int{}, 0
	for _, file := range files {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(strings.TrimSpace(line), "eval") {
				counts[file]++
				sum++
			}
		}
	}
	exprs, err := promqltest.GetBuiltInExprs()
	if err != nil {
		t.Fatal(err)
	}
	if sum != len(exprs) {
		t.Fatalf("counted %d evaluations, the suite has %d", sum, len(exprs))
	}
	return counts
}
