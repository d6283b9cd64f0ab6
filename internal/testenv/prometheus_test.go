package testenv

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSendersAreWhatTheySay(t *testing.T) {
	s := GetSenders(t)
	for path, want := range map[string]string{
		s.DebianPrometheus: "prometheus, version 2.",
		s.Prometheus:       "prometheus, version",
		s.NodeExporter:     "node_exporter, version",
	} {
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s --version: %v, %q; want %q", path, err, out, want)
		}
	}
}
