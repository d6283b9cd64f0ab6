package deployments

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/metricstream/metricstream/internal/testenv"
)

const (
	rulesFile   = "alerts/metricstream.yml"
	rulesTests  = "alerts/metricstream_test.yml"
	runbookFile = "runbooks/metricstream.md"
	repository  = "https://github.com/metricstream/metricstream/blob/main/"
)

// known are the series that may be asked for: those of the page, with the names that histograms and summaries have.
func known(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true, "ALERTS": true}
	line := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+) \\|")
	for _, m := range line.FindAllStringSubmatch(read(t, "METRICS.md"), -1) {
		names[m[1]] = true
		if m[2] == "histogram" || m[2] == "summary" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[m[1]+suffix] = true
			}
		}
	}
	if len(names) < 100 {
		t.Fatalf("METRICS.md has only %d metrics", len(names))
	}
	return names
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// checkExpression parses an expression, and checks that everything it asks for exists.
func checkExpression(t *testing.T, where, text string, names map[string]bool) {
	t.Helper()
	text = strings.NewReplacer("$__rate_interval", "5m", "$job", "x", "$tenant", "x").Replace(text)
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v: %s", where, err, text)
		return
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for _, m := range s.LabelMatchers {
				if m.Name == labels.MetricName && !names[m.Value] {
					t.Errorf("%s: there is no metric %s in METRICS.md", where, m.Value)
				}
			}
		}
		return nil
	})
}

// panel is what is checked of a dashboard's panel; the names are Grafana's.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource map[string]string
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		RefID, Expr string
		Datasource  map[string]string
	}
	FieldConfig struct{ Defaults struct{ Unit string } }
}

type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

func TestDashboards(t *testing.T) {
	names := known(t)
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v: %v", files, err)
	}
	uids := map[string]string{}
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID == "" || uids[d.UID] != "" || d.Title == "" || d.SchemaVersion < 36 {
			t.Errorf("%s: uid %q, title %q, schema %d", file, d.UID, d.Title, d.SchemaVersion)
		}
		uids[d.UID] = file
		if len(d.Templating.List) == 0 || d.Templating.List[0].Name != "datasource" || d.Templating.List[0].Type != "datasource" {
			t.Errorf("%s: the first variable is not the data source", file)
		}
		for _, v := range d.Templating.List[1:] {
			if m := regexp.MustCompile(`^label_values\((\w+), \w+\)$`).FindStringSubmatch(v.Definition); m == nil || !names[m[1]] {
				t.Errorf("%s: variable %s: %s", file, v.Name, v.Definition)
			}
		}
		checkPanels(t, file, d.Panels, names)
	}
}

func checkPanels(t *testing.T, file string, panels []panel, names map[string]bool) {
	ids, taken := map[int]bool{}, map[string]string{}
	for _, p := range panels {
		where := file + ": " + p.Title
		if p.ID == 0 || ids[p.ID] || p.Title == "" || !slices.Contains([]string{"row", "stat", "timeseries"}, p.Type) {
			t.Errorf("%s: id %d, type %q", where, p.ID, p.Type)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				at := fmt.Sprint(x, ",", y)
				if taken[at] != "" || x >= 24 {
					t.Fatalf("%s: lies over %q, or beyond the edge, at %s", where, taken[at], at)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource["uid"] != "${datasource}" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: data source %v, unit %q, %d queries", where, p.Datasource, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.RefID == "" || target.Datasource["uid"] != "${datasource}" {
				t.Errorf("%s: query %q of %v", where, target.RefID, target.Datasource)
			}
			checkExpression(t, where, target.Expr, names)
		}
	}
}

// alert is a rule of the file.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

// TestAlerts: each says how bad it is, what to do, and where more of that stands.
func TestAlerts(t *testing.T) {
	names, runbook := known(t), read(t, runbookFile)
	sections := 0
	for _, a := range alerts(t) {
		checkExpression(t, a.Alert, a.Expr, names)
		if a.For == "" || !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) || a.Annotations["summary"] == "" || len(a.Annotations["description"]) < 60 {
			t.Errorf("%s: for %q, labels %v, annotations %v", a.Alert, a.For, a.Labels, a.Annotations)
		}
		file, anchor, _ := strings.Cut(strings.TrimPrefix(a.Annotations["runbook_url"], repository), "#")
		if file != "deployments/"+runbookFile || anchor != strings.ToLower(a.Alert) {
			t.Errorf("%s: its runbook is %s", a.Alert, a.Annotations["runbook_url"])
		}
		if _, section, ok := strings.Cut(runbook, "\n## "+a.Alert+"\n"); !ok || len(strings.SplitN(section, "\n## ", 2)[0]) < 150 {
			t.Errorf("%s: the runbook has no section that says what to do", a.Alert)
		}
		sections++
	}
	if n := strings.Count(runbook, "\n## "); n != sections {
		t.Errorf("the runbook has %d sections for %d alerts", n, sections)
	}
}

// TestRunbooks: they speak of metrics that exist, and point to sections and files that exist.
func TestRunbooks(t *testing.T) {
	names, runbook := known(t), read(t, runbookFile)
	for _, name := range regexp.MustCompile(`\bmetricstream_[a-z0-9_]+`).FindAllString(runbook, -1) {
		if !names[name] {
			t.Errorf("there is no metric %s in METRICS.md", name)
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(runbook, -1) {
		switch target := m[1]; {
		case strings.HasPrefix(target, "#"):
			if !regexp.MustCompile(`(?im)^## ` + target[1:] + `$`).MatchString(runbook) {
				t.Errorf("there is no section %s", target)
			}
		default:
			if _, err := os.Stat(filepath.Join("runbooks", target)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestRules lets Prometheus' own tool judge the rules, and when they fire.
func TestRules(t *testing.T) {
	promtool := filepath.Join(filepath.Dir(testenv.GetSenders(t).DebianPrometheus), "promtool")
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", rulesTests}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertIsTested: promtool says nothing of an alert that no test names. Each has to fire for the job with the
// fault, and not for one that has something else.
func TestEveryAlertIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `yaml:"input_series"`
			Expressions []struct {
				Expr    string
				Samples []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesTests)), &file); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, one := range file.Tests {
		healthy := false
		for _, s := range one.InputSeries {
			healthy = healthy || strings.Contains(s.Series, `job="good-metricstream"`)
		}
		for _, e := range one.Expressions {
			fires := len(e.Samples) == 1 && e.Samples[0].Labels == `{job="bad-metricstream"}`
			tested[one.Name] = healthy && fires && e.Expr == fmt.Sprintf(`group by (job) (ALERTS{alertname="%s", alertstate="firing"})`, one.Name)
		}
	}
	for _, a := range alerts(t) {
		if !tested[a.Alert] {
			t.Errorf("%s has no test in %s that shows when it fires and when it does not", a.Alert, rulesTests)
		}
	}
}
