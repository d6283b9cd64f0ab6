package model

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutation is a bug to plant: in a file of the real code the text find, which must be there once, is replaced. Of all
// that are planted in one program, the one that the environment names is alive.
type mutation struct {
	file, find, with string
}

// planted are the bugs that the model must find, each within a number of seeds that is several times what it takes.
// In the texts BUG stands for the condition that the bug is alive.
var planted = []struct {
	name      string
	seeds     int
	mutations []mutation
}{
	{"offsets are committed before the insert", 100, []mutation{
		{"flush.go", `failpoint.Hit("consumer/before-insert")`, `if BUG { c.commit(p) }; failpoint.Hit("consumer/before-insert")`},
	}},
	{"label sets count as announced before the ack", 1000, []mutation{
		{"producer.go", `part.Series = announced.due(i, part.Series, now)`, `part.Series = announced.due(i, part.Series, now); if BUG { announced.sent(i, part.Series, now) }`},
	}},
	{"label sets count as announced where another partition was acknowledged", 1000, []mutation{
		{"producer.go", `!s.failed[i] {`, `!s.failed[i] || BUG {`},
	}},
	{"an announcement holds for all days", 1000, []mutation{
		{"announce.go", `day(s.MinMs) < known.minDay || day(s.MaxMs) > known.maxDay ||`, `!BUG && (day(s.MinMs) < known.minDay || day(s.MaxMs) > known.maxDay) ||`},
	}},
	{"a request is acknowledged when one partition is", 500, []mutation{
		{"producer.go", `len(s.messages), failed[0].Err)`, `len(s.messages), failed[0].Err); if BUG && len(failed) < len(s.messages) { err = nil }`},
	}},
	{"the second half of a large record is forgotten", 1000, []mutation{
		{"producer.go", `return p.encode(s, partition, &second)`, `if BUG { return nil }; return p.encode(s, partition, &second)`},
	}},
	{"tables that went back do not take the log back", 500, []mutation{
		{"claim.go", `if progress == nil {
		return nil`, `if progress == nil || BUG {
		return nil`},
		{"claim.go", `>= begin {`, `>= begin || BUG {`},
	}},
	{"only the claims that a session begins with go back with the tables", 5000, []mutation{
		{"claim.go", `if err != nil || progress == nil ||`, `if BUG { return false, nil }
	if err != nil || progress == nil ||`},
	}},
	{"tables that are restored under a consumer are written on", 5000, []mutation{
		{"restored.go", `if progress[partition] < next {`, `if progress[partition] < next && !BUG {`},
	}},
	{"a new topic has no label sets", 5000, []mutation{
		{"producer.go", `if changed {`, `if changed && !BUG {`},
	}},
	{"an error of the tables is taken for success", 100, []mutation{
		{"flush.go", "c.metrics.retries.Inc()\n", "if BUG { return nil }; c.metrics.retries.Inc()\n"},
	}},
	{"records beside a bad one are dead letters", 1000, []mutation{
		{"flush.go", `case len(records) == 1:`, `case len(records) == 1 || BUG:`},
	}},
	{"what cannot be decoded is dropped", 500, []mutation{
		{"claim.go", `if err := c.deadLetter(ctx, m, err); err != nil {`, `if BUG { err = nil } else if err := c.deadLetter(ctx, m, err); err != nil {`},
	}},
	{"a replay goes on behind what it did not write", 500, []mutation{
		{"replay.go", `if len(r.records) > 0 {`, `if BUG { r.progress.Rest.From[partition] = next }; if len(r.records) > 0 {`},
	}},
}

// plants are the bugs that stand in the tables of the model itself.
var plants = []string{"progress-first", "generations-mixed"}

// plantedEnv names the bug that is alive.
const plantedEnv = "METRICSTREAM_PLANTED"

// TestPlantedBugsAreFound builds the model once with all bugs planted, and runs it once for each.
func TestPlantedBugsAreFound(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "model")
	build := exec.Command("go", "test", "-c", "-o", binary, "-overlay", overlay(t, dir), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as other tests build, so that the same dependencies serve
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build with planted bugs: %v\n%s", err, out)
	}
	try := func(name string, seeds int, args ...string) (string, error) {
		cmd := exec.Command(binary, append(args, "-test.run=^TestModel$", fmt.Sprintf("-seeds=%d", seeds))...)
		cmd.Env = append(os.Environ(), plantedEnv+"="+name)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := try("", 1500); err != nil {
		t.Fatalf("without any bug it fails:\n%s", out)
	}
	found := regexp.MustCompile(`seed \d+ fails: \[.*\]`)
	for _, p := range planted {
		out, err := try(p.name, p.seeds)
		if what := found.FindString(out); err == nil || what == "" {
			t.Errorf("%s: not found in %d seeds:\n%s", p.name, p.seeds, out)
		} else {
			t.Logf("%s: %s", p.name, what)
		}
	}
	for _, p := range plants {
		out, err := try("", 5000, "-plant="+p)
		if what := found.FindString(out); err == nil || what == "" {
			t.Errorf("%s: not found:\n%s", p, out)
		} else {
			t.Logf("%s: %s", p, what)
		}
	}
}

// overlay writes the mutated files into a folder, and the file for `go test -overlay` that names them.
func overlay(t *testing.T, dir string) string {
	root, err := filepath.Abs("../../kafka")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"planted.go": "package kafka\n\nimport \"os\"\n\nvar plantedBug = os.Getenv(\"" + plantedEnv + "\")\n",
	}
	for _, p := range planted {
		for _, m := range p.mutations {
			if texts[m.file] == "" {
				text, err := os.ReadFile(filepath.Join(root, m.file))
				if err != nil {
					t.Fatal(err)
				}
				texts[m.file] = string(text)
			}
			if n := strings.Count(texts[m.file], m.find); n != 1 {
				t.Fatalf("cannot plant %q: kafka/%s has the text %d times, not once; adapt the mutation to the code:\n%s", p.name, m.file, n, m.find)
			}
			with := strings.ReplaceAll(m.with, "BUG", fmt.Sprintf("(plantedBug == %q)", p.name))
			texts[m.file] = strings.Replace(texts[m.file], m.find, with, 1)
		}
	}
	replace := map[string]string{}
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = file
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
