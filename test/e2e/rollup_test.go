package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDownsampling writes some hours of samples: they are folded while the process runs, and again where late ones come;
// the command finds that the tables are right, and folds hours again.
func TestDownsampling(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	const hour = 3_600_000
	end := time.Now().UnixMilli()/hour*hour - 2*hour
	write := func(name string) {
		t.Helper()
		for at := end - 3*hour + 1000; at < end; at += 600_000 {
			if code := postSamples(n.url, "", at, float64(at%1000), 3, map[string]string{"__name__": name}); code != http.StatusNoContent {
				t.Fatalf("write answered %d", code)
			}
		}
	}
	folded := func(kind string) {
		t.Helper()
		eventually(t, 3*time.Minute, "hours are folded: "+kind, func() error {
			body, err := getAs(n.url+"/metrics", "")
			if err != nil {
				return err
			}
			for _, want := range []string{"metricstream_rollup_owner 1\n", "metricstream_rollup_marks 0\n", `metricstream_rollup_hours_total{fold="` + kind + `"}`} {
				if err := contains(body, want); err != nil {
					return fmt.Errorf("there is no %s", strings.TrimSpace(want))
				}
			}
			return nil
		})
	}
	write("rolled_up")
	folded("first")
	write("late")
	folded("again")
	// A second later the window is without the first sample of each series, which stands where it is open.
	for path, want := range map[string][]string{
		fmt.Sprintf("/api/v1/query?query=sum(count_over_time(late[3h]))&time=%d&explain=1", end/1000):   {`"54"]`, `"tier":"1h"`},
		fmt.Sprintf("/api/v1/query?query=sum(count_over_time(late[3h]))&time=%d&explain=1", end/1000+1): {`"51"]`, `"tier":"`},
		"/api/v1/status/retention": {`"tier":"1h","keep":"1y","spans":[{"from":`, `"tier":"raw","keep":"1w"`},
	} {
		eventually(t, time.Minute, path, func() error {
			body, err := getAs(n.url+path, "")
			if err != nil {
				return err
			}
			for _, one := range want {
				if err := contains(body, one); err != nil {
					return err
				}
			}
			return nil
		})
	}
	span := []string{"rollup", "--storage.path=" + data, "--from=" + time.UnixMilli(end-3*hour).UTC().Format(time.RFC3339), "--to=" + time.UnixMilli(end).UTC().Format(time.RFC3339)}
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	command(t, true, append(span, "--verify"), "3 hours compared", "0 differences")
	command(t, true, span, "3 hours folded")
	command(t, true, append(span, "--verify"), "3 hours compared", "0 differences")
	command(t, false, []string{"rollup", "--storage.path=" + data, "--from=yesterday"}, "--from")
}
