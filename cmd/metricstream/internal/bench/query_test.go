package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"
)

// judge is Prometheus' own receiver, database and query engine behind the few endpoints that the tool uses.
type judge struct {
	t      testing.TB
	db     *teststorage.TestStorage
	engine *promql.Engine
	write  http.Handler
}

func newJudge(t testing.TB) *judge {
	db := teststorage.New(t)
	return &judge{t: t, db: db, engine: promqltest.NewTestEngine(t, false, 5*time.Minute, 50_000_000),
		write: remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), db,
			remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false)}
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/write" {
		j.write.ServeHTTP(w, r)
		return
	}
	data, err := j.answer(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}

func (j *judge) answer(r *http.Request) (any, error) {
	at := func(name string) time.Time {
		s, _ := strconv.ParseFloat(r.FormValue(name), 64)
		return time.UnixMilli(int64(s*1000 + 0.5))
	}
	switch r.URL.Path {
	case "/api/v1/query":
		return j.evaluate(j.engine.NewInstantQuery(r.Context(), j.db, nil, r.FormValue("query"), at("time")))
	case "/api/v1/query_range":
		step, _ := strconv.ParseFloat(r.FormValue("step"), 64)
		return j.evaluate(j.engine.NewRangeQuery(r.Context(), j.db, nil, r.FormValue("query"), at("start"), at("end"), time.Duration(step*1e9)))
	}
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(r.FormValue("match[]"))
	if err != nil {
		return nil, err
	}
	q, err := j.db.Querier(at("start").UnixMilli(), at("end").UnixMilli())
	if err != nil {
		return nil, err
	}
	defer q.Close()
	if r.URL.Path == "/api/v1/label/instance/values" {
		values, _, err := q.LabelValues(r.Context(), "instance", nil, matchers...)
		return values, err
	}
	var series []labels.Labels
	set := q.Select(r.Context(), false, &storage.SelectHints{Start: at("start").UnixMilli(), End: at("end").UnixMilli(), Func: "series"}, matchers...)
	for set.Next() {
		series = append(series, set.At().Labels())
	}
	return series, set.Err()
}

func (j *judge) evaluate(q promql.Query, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		return nil, res.Err
	}
	// Encoded here: closing the query takes its memory back.
	text, err := json.Marshal(map[string]any{"resultType": res.Value.Type(), "result": res.Value})
	return json.RawMessage(text), err
}

// written writes 2,500 series for some twenty minutes of timestamps to a server and returns the summary's file.
func written(t *testing.T, url, protocol string) string {
	t.Helper()
	o := DefaultWriteOptions()
	o.URL, o.Protocol = url+"/api/v1/write", protocol
	o.Series, o.Shards, o.SamplesPerRequest = 2500, 3, 500
	o.Rate, o.Duration, o.Interval = 25_000, 2*time.Second, time.Minute
	o.Disks, o.PIDs = []string{t.TempDir()}, []int{os.Getpid()}
	o.JSONFile = filepath.Join(t.TempDir(), "written.json")
	var out bytes.Buffer
	r, err := RunWrite(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	if r.AckedSamples%2500 != 0 || r.AckedSamples == 0 || len(r.Errors) != 0 {
		t.Fatalf("%d samples acked, want whole rounds of 2500:\n%s", r.AckedSamples, &out)
	}
	if r.Visible == nil || r.Visible.Count == 0 || r.Visible.Unseen != 0 {
		t.Errorf("visibility is %+v", r.Visible)
	}
	if r.Generator.CPUSeconds <= 0 || r.Generator.BuildPerMillion <= 0 || r.Target.PeakRSSBytes <= 0 || r.Target.AtEnd.CPUSeconds <= 0 {
		t.Errorf("the costs are %+v and %+v", r.Generator, r.Target)
	}
	for _, want := range []string{"acked", "ack latency", "ack to visible", "target at end", "bytes/sample"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary does not have %q:\n%s", want, &out)
		}
	}
	return o.JSONFile
}

func TestWriteAndQueryAgainstPrometheus(t *testing.T) {
	for _, protocol := range []string{Protocol1, Protocol2} {
		t.Run(protocol, func(t *testing.T) {
			server := httptest.NewServer(newJudge(t))
			defer server.Close()
			o := DefaultQueryOptions()
			o.URL, o.Written = server.URL, written(t, server.URL, protocol)
			o.TimePerQuery, o.MaxPerQuery, o.Concurrency = time.Minute, 3, 2
			o.JSONFile = filepath.Join(t.TempDir(), "query.json")
			var out bytes.Buffer
			r, err := RunQuery(t.Context(), o, &out)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Results) != 18 {
				t.Errorf("%d results, want nine kinds of query in two passes", len(r.Results))
			}
			for _, q := range r.Results {
				if q.Failed != 0 || q.Count != 3 || q.P50 <= 0 || q.Bytes == 0 {
					t.Errorf("%+v, want 3 right answers", q)
				}
			}
		})
	}
}

// A backend that loses one CPU's series must not look fast.
func TestWrongAnswersAreCounted(t *testing.T) {
	j := newJudge(t)
	server := httptest.NewServer(j)
	defer server.Close()
	o := DefaultQueryOptions()
	o.URL, o.Written = server.URL, written(t, server.URL, Protocol1)
	o.TimePerQuery, o.MaxPerQuery, o.Concurrency = time.Minute, 2, 1
	lost := labels.MustNewMatcher(labels.MatchEqual, "instance", "10.40.0.0:9100")
	mode := labels.MustNewMatcher(labels.MatchEqual, "mode", "idle")
	if err := j.db.Delete(t.Context(), 0, 1<<62, lost, mode); err != nil {
		t.Fatal(err)
	}
	r, err := RunQuery(t.Context(), o, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string]bool{}
	for _, q := range r.Results {
		if q.Failed > 0 {
			wrong[q.Query] = true
			if q.Failed != q.Count && !strings.Contains(q.Query, "1 series") || q.FirstFailure == "" {
				t.Errorf("%+v, want all answers wrong and one named", q)
			}
		}
	}
	for _, name := range []string{"instant, 1 series", "range, 1 series"} {
		if !wrong[name] {
			t.Errorf("%s is not found wrong: %v", name, wrong)
		}
	}
	if len(wrong) < 4 {
		t.Errorf("wrong are only %v, want the queries of many series too", wrong)
	}
}

func TestLargeAnswersAreCounted(t *testing.T) {
	q := question{series: 3, points: 300}
	body := []byte(`{"status":"success","data":{"resultType":"matrix","result":[` + strings.Repeat(`{"metric":{},"values":[[1,"1"]]},`, 2) + `{"metric":{},"values":[` + strings.Repeat(`[1,"1"],`, 40_000) + `[1,"1"]]}]}}`)
	if len(body) <= largeAnswer {
		t.Fatal("the answer is not large")
	}
	if err := q.check(body, 0); err == nil {
		t.Error("the first answer is not read whole")
	}
	if err := q.check(body, 1); err != nil {
		t.Errorf("a later answer of three series: %v", err)
	}
	q.series = 4
	if err := q.check(body, 1); err == nil {
		t.Error("a later answer of three series passes for four")
	}
}

func TestQueryOptionsThatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*QueryOptions){
		"--written":     func(o *QueryOptions) { o.Written = "" },
		"--concurrency": func(o *QueryOptions) { o.Concurrency = 0 },
		"--max-per":     func(o *QueryOptions) { o.MaxPerQuery = 0 },
		"--step":        func(o *QueryOptions) { o.Step = 1500 * time.Millisecond },
	} {
		o := DefaultQueryOptions()
		o.Written = "x"
		change(&o)
		if _, err := RunQuery(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v, want one that names it", name, err)
		}
	}
}

func TestTable(t *testing.T) {
	dir := t.TempDir()
	for name, speed := range map[string]float64{"one": 1000, "two": 2000} {
		folder := filepath.Join(dir, name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		cost := Cost{CPUSecondsPerMillion: 1.5, BytesPerSample: 1.25, Disk: &DiskUse{Parts: map[string]int64{"data": 5_000_000}}}
		r := &WriteReport{SamplesPerSecond: speed, Ack: Latency{1, 2, 3, 4}, Target: TargetCost{AtEnd: cost}, SamplesOnDisk: 1_000_000}
		if err := writeJSON(filepath.Join(folder, "flat.json"), r); err != nil {
			t.Fatal(err)
		}
	}
	q := &QueryReport{Results: []QueryResult{{Query: "instant", Concurrency: 4, Latency: Latency{7, 1, 2, 3}, Failed: 2}}}
	if err := writeJSON(filepath.Join(dir, "two", "query.json"), q); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(dir, "two", "paced.json"), &WriteReport{SamplesOnDisk: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "two", "stored.json"), []byte("1750000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := RunTable([]string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"|  | one | two |",
		"| flat out: samples/s acknowledged | 1000 | 2000 |",
		"| flat out: ack p50 / p99, ms | 2.0 / 3.0 | 2.0 / 3.0 |",
		"| flat out: bytes per sample on disk, all files | 1.25 | 1.25 |",
		"| fixed rate: samples/s acknowledged | - | 0 |",
		"| bytes per sample as stored, without logs | - | 1.75 |",
		"| instant, 4 at once: p50 / p99, ms | - | 1.0 / 2.0 (2 of 7 wrong) |",
		"- one, files after 1000000 samples: data 5.0 MB (5.00 B/sample)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not have %q:\n%s", want, &out)
		}
	}
}
