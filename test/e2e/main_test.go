// Package e2e drives the built binary as its users do: real Prometheus servers write to it, the HTTP API is asked,
// processes are killed.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/metricstream/metricstream/internal/testenv"
)

// binary is the metricstream under test, built once.
var binary string

func TestMain(m *testing.M) {
	// The test binary also hosts the engine that stands for a ClickHouse server; that process builds nothing.
	if !testenv.IsEngineHost() {
		if err := build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	testenv.Main(m)
}

// build builds the binary where `make build` has it.
func build() error {
	var err error
	if binary, err = filepath.Abs("../../bin/metricstream"); err != nil {
		return err
	}
	cmd := exec.Command("make", "-C", "../..", "build")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build metricstream: %w\n%s", err, out)
	}
	return nil
}
