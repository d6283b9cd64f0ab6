package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
)

// erasurePoints are the moments between the steps of an erasure, in their order: one erasure is killed at each of them.
var erasurePoints = []string{
	"erasure/before-noted", "erasure/before-listed", "erasure/before-counted", "erasure/in-table", "erasure/in-table:2",
	"erasure/before-applied", "erasure/before-cleaning", "erasure/before-verified", "erasure/before-done",
}

// TestErasures kills an erasure at each of its steps, and the engine in one: it goes on, and nothing of what was asked for
// is left, and nothing else is missing. That is still so when the tables are lost and read from the log again.
func TestErasures(t *testing.T) {
	t.Parallel()
	n := newNode(t, "all", "--web.enable-admin-api")
	n.startReady(t)
	base := time.Now().UnixMilli()/dayMs*dayMs - 2*dayMs
	n.writePoints(t, "", base, "inside", "across", "beside")
	n.awaitPoints(t, "", base, "inside", 3)
	n.awaitPoints(t, "", base, "across", 3)
	n.awaitPoints(t, "", base, "beside", 3)
	n.stop(t)

	for i, point := range erasurePoints {
		n.start(t, point)
		if i == 0 {
			n.awaitReady(t)
			n.eraseDays(t, base)
		}
		n.awaitDeath(t, point)
	}
	n.startReady(t)
	n.awaitErased(t, 0)
	gone := func(when string) {
		t.Helper()
		for series, want := range map[string]int{"inside": 0, "across": 1, "beside": 3} {
			if got := n.points(t, "", base, series); got != want {
				t.Errorf("%s: %s has %d points, want %d", when, series, got, want)
			}
		}
		if text := n.get(t, "", "/api/v1/series?match[]=erasure_test&start="+fmt.Sprint(base/1000)); strings.Contains(text, "inside") || !strings.Contains(text, "across") {
			t.Errorf("%s: series: %s", when, text)
		}
	}
	gone("after the kills")
	n.writePoints(t, "", base, "inside")
	n.awaitPoints(t, "", base, "inside", 3)
	n.stop(t)

	// The engine dies in the middle of another one.
	n.start(t, "erasure/in-table:1:children")
	n.awaitReady(t)
	engine := n.engine()
	n.eraseDays(t, base)
	n.awaitNewEngine(t, engine)
	n.awaitErased(t, 0)
	gone("after the engine was killed")
	n.stop(t)

	if err := os.RemoveAll(filepath.Join(n.data(), "clickhouse")); err != nil {
		t.Fatal(err)
	}
	n.startReady(t)
	n.awaitErased(t, 1)
	n.awaitPoints(t, "", base, "beside", 3)
	gone("after the tables were lost")
}

// TestTenantDeletions kills the deletion of a tenant at each of its steps: nothing of it is left, also not when the tables are
// lost and read from the log again, and another tenant has all that it had.
func TestTenantDeletions(t *testing.T) {
	t.Parallel()
	n := newNode(t, "all", "--web.enable-admin-api")
	n.startReady(t)
	base := time.Now().UnixMilli()/dayMs*dayMs - 2*dayMs
	for _, id := range []string{"leaves", "stays"} {
		if text := n.ask(t, http.MethodPost, "", "/api/v1/admin/tenants", `{"id":"`+id+`"}`); !strings.Contains(text, `"success"`) {
			t.Fatal(text)
		}
		n.writePoints(t, id, base, "across", "beside")
		n.awaitPoints(t, id, base, "across", 3)
	}
	n.stop(t)
	for i, point := range erasurePoints {
		n.start(t, point)
		if i == 0 {
			n.awaitReady(t)
			if text := n.ask(t, http.MethodDelete, "", "/api/v1/admin/tenants/leaves", ""); !strings.Contains(text, `"success"`) {
				t.Fatal(text)
			}
		}
		n.awaitDeath(t, point)
	}
	check := func(when string) {
		t.Helper()
		for id, want := range map[string]int{"leaves": 0, "stays": 3} {
			for _, series := range []string{"across", "beside"} {
				if got := n.points(t, id, base, series); got != want {
					t.Errorf("%s: %s of %s has %d points, want %d", when, series, id, got, want)
				}
			}
			for _, path := range []string{
				"/api/v1/series?match[]={series=\"across\"}&start=" + fmt.Sprint(base/1000), "/api/v1/metadata",
				"/api/v1/query_exemplars?query=erasure_test&start=" + fmt.Sprint(base/1000-1) + "&end=" + fmt.Sprint(base/1000+1),
				"/api/v1/query?query=erasure_histogram&time=" + fmt.Sprint(base/1000),
			} {
				if text := n.get(t, id, strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(path)); strings.Contains(text, "erasure_") != (want > 0) {
					t.Errorf("%s: %s of %s: %s", when, path, id, text)
				}
			}
		}
		if text := n.get(t, "", "/api/v1/admin/tenants"); strings.Contains(text, "leaves") || !strings.Contains(text, "stays") {
			t.Errorf("%s: the tenants: %s", when, text)
		}
	}
	n.startReady(t)
	n.awaitErased(t, 0)
	check("after the kills")
	n.stop(t)
	if err := os.RemoveAll(filepath.Join(n.data(), "clickhouse")); err != nil {
		t.Fatal(err)
	}
	n.startReady(t)
	n.awaitErased(t, 1)
	n.awaitPoints(t, "stays", base, "beside", 3)
	check("after the tables were lost")
}

// writePoints writes three points for each series: on base's day and on those before and after it, or, where they are to be
// inside of what is erased, on base's day and the one after it. Each has an exemplar and a histogram beside it, and metadata.
func (n *node) writePoints(t *testing.T, tenant string, base int64, names ...string) {
	t.Helper()
	var req prompb.WriteRequest
	for _, name := range names {
		s := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "erasure_test"}, {Name: "series", Value: name}}}
		for _, day := range []int64{-1, 0, 1} {
			at := base + day*dayMs + 3_600_000
			if name == "inside" && day < 0 {
				at = base + 7_200_000
			}
			s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: 1})
		}
		s.Exemplars = []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace", Value: name}}, Value: 1, Timestamp: base}}
		h := prompb.FromIntHistogram(base, &histogram.Histogram{Count: 1, Sum: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}})
		of := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "erasure_histogram"}, {Name: "series", Value: name}}, Histograms: []prompb.Histogram{h}}
		req.Timeseries = append(req.Timeseries, of, s)
	}
	req.Metadata = []prompb.MetricMetadata{{MetricFamilyName: "erasure_test", Help: "about it"}}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url()+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	if tenant != "" {
		r.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("write answered %d", resp.StatusCode)
	}
}

// eraseDays asks for the erasure of base's day, and the one after it, of two of the series.
func (n *node) eraseDays(t *testing.T, base int64) {
	t.Helper()
	form := url.Values{"match[]": {`erasure_test{series=~"inside|across"}`}, "start": {fmt.Sprint(base / 1000)}, "end": {fmt.Sprint(base/1000 + 2*86400 - 1)}}
	resp, err := http.PostForm(n.url()+"/api/v1/admin/tsdb/delete_series", form)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("delete_series answered %d", resp.StatusCode)
	}
}

// awaitErased waits until all erasures are done, and were done again so often.
func (n *node) awaitErased(t *testing.T, again int) {
	t.Helper()
	eventually(t, "the erasures are done", func() error {
		var answer struct {
			Data []struct {
				State, Progress string
				Report          struct{ Again int }
			}
		}
		if err := json.Unmarshal([]byte(n.get(t, "", "/api/v1/admin/erasures")), &answer); err != nil {
			return err
		}
		for _, e := range answer.Data {
			if e.State != "done" || e.Report.Again != again {
				return fmt.Errorf("%+v", answer.Data)
			}
		}
		return nil
	})
}

func (n *node) awaitPoints(t *testing.T, tenant string, base int64, series string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d points of %s", want, series), func() error {
		if got := n.points(t, tenant, base, series); got != want {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// points counts the points of a series.
func (n *node) points(t *testing.T, tenant string, base int64, series string) int {
	t.Helper()
	q := url.Values{"query": {fmt.Sprintf(`count_over_time(erasure_test{series=%q}[5d])`, series)}, "time": {fmt.Sprint(base/1000 + 2*86400)}}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(n.get(t, tenant, "/api/v1/query?"+q.Encode())), &answer); err != nil || len(answer.Data.Result) == 0 {
		return 0
	}
	count := 0
	_, _ = fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &count)
	return count
}

// get returns what a tenant's request is answered with, whatever it is; without a tenant it names none.
func (n *node) get(t *testing.T, tenant, path string) string {
	t.Helper()
	return n.ask(t, http.MethodGet, tenant, path, "")
}

// ask is get with a method and a body.
func (n *node) ask(t *testing.T, method, tenant, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.url()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if tenant != "" {
		r.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
