// Package chaos kills the processes of a MetricStream at every moment at which a crash could lose or double a sample,
// under load, and then asks whether every acknowledged sample is there exactly once.
package chaos

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// atLeast makes a longer run of it: rounds with other counts follow the first until this much time has passed.
var atLeast = flag.Duration("for", 0, "go on with further rounds for this long")

// tableFile gets the tables, see README.md.
var tableFile = flag.String("table", "", "replace the tables between the markers of this `file`")

// atOnce is how many tests run at the same time: they wait more than they work.
const atOnce = "8"

// binary is the metricstream under test, built once, with failpoints.
var binary string

func TestMain(m *testing.M) {
	// The test binary also hosts the engine that stands for a ClickHouse server; that process builds nothing.
	if !testenv.IsEngineHost() {
		flag.Parse()
		if err := errors.Join(build(), flag.Set("test.parallel", atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	testenv.Main(m)
}

func build() error {
	var err error
	if binary, err = filepath.Abs("../../bin/metricstream-failpoints"); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", binary, "../../cmd/metricstream")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build metricstream with failpoints: %w\n%s", err, out)
	}
	return nil
}

// rounds calls a test once, and again for as long as atLeast says. What a round leaves is cleaned up after it.
func rounds(t *testing.T, do func(t *testing.T, round int)) {
	t.Helper()
	begin := time.Now()
	for round := 0; round == 0 || time.Since(begin) < *atLeast && !t.Failed(); round++ {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) { do(t, round) })
	}
}

// within is how long anything may take on a busy machine.
const within = 3 * time.Minute

// await polls a condition and returns its last error.
func await(condition func() error) error {
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = condition(); err == nil {
			return nil
		}
	}
	return err
}

// eventually fails the test where a condition does not come true.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	if err := await(condition); err != nil {
		t.Fatalf("not within %v: %s: %v", within, what, err)
	}
}
