package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// ingest is a process whose tenants have limits on writes, with what survives its restart.
type ingest struct {
	limited
	data string
}

func startIngest(t *testing.T) *ingest {
	t.Helper()
	i := &ingest{data: filepath.Join(t.TempDir(), "data")}
	i.node, i.nowMs = start(t, "all", i.data, "--auth.enabled"), time.Now().UnixMilli()
	i.operator = firstKey(t, i.node)
	return i
}

// restart kills the process and starts another one, whose answer to too many samples is 529.
func (i *ingest) restart(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(file, []byte("remote_write: {limit_status: 529}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	i.Kill()
	i.node = start(t, "all", i.data, "--auth.enabled", "--config.file="+file)
}

// holds makes a tenant with limits and waits until user_limits shows them.
func (i *ingest) holds(t *testing.T, id, limits string) {
	t.Helper()
	if code := administer(t, http.MethodPost, with(i.operator, i.url), "/tenants", `{"id":"`+id+`"}`, nil); code != http.StatusOK {
		t.Fatalf("creating %s: %d", id, code)
	}
	i.set(t, "tenants/"+id, limits)
	eventually(t, inForce, "user_limits of "+id, func() error {
		_, body := request(t, with(i.operator, i.url)+"/api/v1/user_limits", "X-Scope-OrgID", id)
		for one := range strings.SplitSeq(strings.Trim(limits, "{}"), ",") {
			if err := contains(body, one); err != nil {
				return err
			}
		}
		return nil
	})
}

// wrote is the answer to a write.
type wrote struct {
	code                               int
	text, samples, exemplars, comeback string
}

func (i *ingest) push(t *testing.T, key, id string, m interface{ Marshal() ([]byte, error) }) wrote {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, with(key, i.url)+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Scope-OrgID", id)
	r.Header.Set("Content-Type", typeV1)
	if _, ok := m.(*writev2.Request); ok {
		r.Header.Set("Content-Type", typeV2)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	return wrote{resp.StatusCode, string(text), h.Get("X-Prometheus-Remote-Write-Samples-Written"), h.Get("X-Prometheus-Remote-Write-Exemplars-Written"), h.Get("Retry-After")}
}

// check compares an answer with what is wanted of it, the text of which is a part.
func check(t *testing.T, what string, got, want wrote) {
	t.Helper()
	if (got.comeback != "") != (want.comeback != "") || !strings.Contains(got.text, want.text) || got.code != want.code || got.samples != want.samples || got.exemplars != want.exemplars {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// numbered are the first n series of a metric, one sample each, as 2.0.
func (i *ingest) numbered(n int) *writev2.Request {
	symbols := writev2.NewSymbolTable()
	req := &writev2.Request{}
	for k := range n {
		ls := labels.FromStrings("__name__", "limited", "k", fmt.Sprint(k))
		req.Timeseries = append(req.Timeseries, writev2.TimeSeries{LabelsRefs: symbols.SymbolizeLabels(ls, nil), Samples: []writev2.Sample{{Value: 1, Timestamp: i.nowMs}}})
	}
	req.Symbols = symbols.Symbols()
	return req
}

// labelled is one series as 1.0.
func (i *ingest) labelled(pairs ...string) *prompb.WriteRequest {
	s := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: i.nowMs, Value: 1}}}
	for k := 0; k < len(pairs); k += 2 {
		s.Labels = append(s.Labels, prompb.Label{Name: pairs[k], Value: pairs[k+1]})
	}
	return &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{s}}
}

// TestLimitsOfIngest hits each limit on writes, raises some and takes them back while the process runs, and has a tenant at
// its limit go on after the process was killed.
func TestLimitsOfIngest(t *testing.T) {
	t.Parallel()
	i := startIngest(t)
	i.limitsSeries(t)
	i.limitsShapes(t)
	i.limitsRequests(t)
	i.limitsSamples(t, http.StatusTooManyRequests)
	i.limitsKeys(t)
	eventually(t, inForce, "the journal of series", func() error {
		files, err := filepath.Glob(filepath.Join(i.data, "limits", "*"))
		var all []byte
		for _, f := range files {
			b, _ := os.ReadFile(f)
			all = append(all, b...)
		}
		if err != nil || !bytes.Contains(all, []byte("newcomers")) {
			return fmt.Errorf("%q, %v", files, err)
		}
		return nil
	})
	i.restart(t)
	check(t, "known series after a restart", i.push(t, i.operator, "series", i.numbered(9)), wrote{code: 204, samples: "9", exemplars: "0"})
	check(t, "one more after a restart", i.push(t, i.operator, "series", i.numbered(10)), wrote{code: 400, samples: "9", exemplars: "0", text: "too_many_active_series: "})
	i.limitsSamples(t, 529)
	i.shows(t)
}

// limitsSeries: what is beyond the limit is refused, what is known goes on, and all else is written.
func (i *ingest) limitsSeries(t *testing.T) {
	i.holds(t, "series", `{"active_series":5}`)
	i.holds(t, "newcomers", `{"new_series_per_minute":3}`)
	written := func(n int) func() int {
		return func() int {
			w := i.push(t, i.operator, "series", i.numbered(n))
			if w.code != http.StatusNoContent && w.code != http.StatusBadRequest {
				t.Errorf("%+v", w)
			}
			got, _ := strconv.Atoi(w.samples)
			return got
		}
	}
	five := wrote{code: 204, samples: "5", exemplars: "0"}
	over := wrote{code: 400, samples: "5", exemplars: "0", text: `series "limited"{"k"="5"} is new, and the tenant has 5 active ones, as many as it may; send fewer, or raise limits.active_series of the tenant "series"`}
	check(t, "eight series with a limit of five", i.push(t, i.operator, "series", i.numbered(8)), over)
	check(t, "the five", i.push(t, i.operator, "series", i.numbered(5)), five)
	check(t, "the eight again", i.push(t, i.operator, "series", i.numbered(8)), over)
	i.set(t, "tenants/series", `{"active_series":7}`)
	in5s(t, "the limit is raised", 7, written(8))
	i.set(t, "tenants/series", `{}`)
	in5s(t, "the limit is taken back", 9, written(9))
	i.set(t, "tenants/series", `{"active_series":5}`)
	eventually(t, inForce, "the limit is back", func() error {
		_, body := request(t, with(i.operator, i.url)+"/api/v1/user_limits", "X-Scope-OrgID", "series")
		return contains(body, `"max_global_series_per_user":5,`)
	})
	check(t, "all that are known", i.push(t, i.operator, "series", i.numbered(9)), wrote{code: 204, samples: "9", exemplars: "0"})

	check(t, "five new series with a limit of three", i.push(t, i.operator, "newcomers", i.numbered(5)), wrote{code: 400, samples: "3", exemplars: "0",
		text: `too_many_new_series: series "limited"{"k"="3"} is new, and there were more than 3 new ones within a minute; send fewer, or this one later, or raise limits.new_series_per_minute of the tenant "newcomers"`})
	check(t, "the three that are known", i.push(t, i.operator, "newcomers", i.numbered(3)), wrote{code: 204, samples: "3", exemplars: "0"})
	if _, body := request(t, with(i.operator, i.url)+"/api/v1/status/rejections", "X-Scope-OrgID", "newcomers"); !strings.Contains(body, "too_many_new_series") {
		t.Errorf("rejections: %s", body)
	}
}

// limitsShapes: limits on label sets hold for known series too, and the lower one of tenant and process is named.
func (i *ingest) limitsShapes(t *testing.T) {
	i.holds(t, "shapes", `{"labels_per_series":200}`)
	long := strings.Repeat("x", 20)
	wide := []string{"__name__", "wide"}
	for k := range 64 {
		wide = append(wide, fmt.Sprintf("l%02d", k), "v")
	}
	check(t, "more labels than the process takes", i.push(t, i.operator, "shapes", i.labelled(wide...)), wrote{code: 400, text: "has more than 64 labels; send fewer, or raise remote_write.max_labels_per_series"})
	series := map[string]*prompb.WriteRequest{
		"labels_per_series": i.labelled("__name__", "a", "b", "c", "d", "e", "f", "g"),
		"label_name_bytes":  i.labelled("__name__", "a", long, "c"),
		"label_value_bytes": i.labelled("__name__", "a", "b", long),
	}
	for limit, req := range series {
		check(t, limit+" without", i.push(t, i.operator, "shapes", req), wrote{code: 204})
	}
	i.set(t, "tenants/shapes", `{"labels_per_series":3,"label_name_bytes":10,"label_value_bytes":10}`)
	for limit, req := range series {
		in5s(t, limit, 400, func() int { return i.push(t, i.operator, "shapes", req).code })
		check(t, limit, i.push(t, i.operator, "shapes", req), wrote{code: 400, text: `or raise limits.` + limit + ` of the tenant "shapes"`})
	}
	check(t, "a small one", i.push(t, i.operator, "shapes", i.labelled("__name__", "a", "b", "c")), wrote{code: 204})
}

// limitsRequests: a body that is too large is refused whole; exemplars and metadata are left out.
func (i *ingest) limitsRequests(t *testing.T) {
	i.holds(t, "requests", `{"request_bytes":500,"exemplars_per_request":1,"metadata_per_request":1}`)
	check(t, "a large body", i.push(t, i.operator, "requests", i.numbered(1000)), wrote{code: 400, samples: "0", exemplars: "0",
		text: `more than 500 bytes; send fewer samples at once, or raise limits.request_bytes of the tenant "requests"`})
	req := i.numbered(3)
	for k := range req.Timeseries {
		req.Timeseries[k].Exemplars = []writev2.Exemplar{{Value: 1, Timestamp: i.nowMs}}
	}
	check(t, "three exemplars", i.push(t, i.operator, "requests", req), wrote{code: 204, samples: "3", exemplars: "1"})
	old := i.labelled("__name__", "old")
	for _, name := range []string{"one", "two"} {
		old.Metadata = append(old.Metadata, prompb.MetricMetadata{MetricFamilyName: name, Help: "what it is"})
	}
	check(t, "two texts", i.push(t, i.operator, "requests", old), wrote{code: 204})
}

// limitsSamples: a request over the rate is refused whole and may come again.
func (i *ingest) limitsSamples(t *testing.T, status int) {
	id := fmt.Sprint("samples", status)
	i.holds(t, id, `{"samples_per_second":1,"samples_burst":100}`)
	check(t, "the burst", i.push(t, i.operator, id, i.numbered(90)), wrote{code: 204, samples: "90", exemplars: "0"})
	check(t, "beyond", i.push(t, i.operator, id, i.numbered(100)), wrote{code: status, samples: "0", exemplars: "0", comeback: "6",
		text: `more than 1 samples a second are sent; send fewer, or this request later, or raise limits.samples_per_second of the tenant "` + id + `"`})
	i.set(t, "tenants/"+id, `{"samples_per_second":1000000}`)
	in5s(t, "the rate is raised", 204, func() int { return i.push(t, i.operator, id, i.numbered(100)).code })
}

// limitsKeys: a key's own limits hold beside its tenant's.
func (i *ingest) limitsKeys(t *testing.T) {
	i.holds(t, "keys", `{"samples_per_second":1,"samples_burst":1000}`)
	key := keyCommand(t, i.node, i.operator, "key", "create", "--tenant=keys", "--scope=write", "--scope=read", "--also-tenant=samples429")
	id := strings.Split(key, "_")[1]
	i.set(t, "keys/"+id, `{"samples_per_second":2,"samples_burst":100,"new_series_per_minute":90,"labels_per_series":2}`)
	eventually(t, inForce, "user_limits of the key", func() error {
		_, body := request(t, with(key, i.url)+"/api/v1/user_limits")
		if !strings.Contains(body, `"ingestion_rate":1,"ingestion_burst_size":1000,`) {
			t.Errorf("user_limits: %s", body)
		}
		_, body, _ = strings.Cut(body, "key_limits")
		return contains(body, `"samples_burst":100,`)
	})
	check(t, "new series of the key", i.push(t, key, "", i.numbered(95)), wrote{code: 400, samples: "90", exemplars: "0", text: fmt.Sprintf("limits.new_series_per_minute of the key %q", id)})
	check(t, "the labels of the key", i.push(t, key, "", i.labelled("__name__", "a", "b", "c", "d", "e")), wrote{code: 400, text: fmt.Sprintf("limits.labels_per_series of the key %q", id)})
	check(t, "the burst of the key", i.push(t, key, "", i.numbered(90)), wrote{code: 429, samples: "0", exemplars: "0", comeback: "6", text: fmt.Sprintf("limits.samples_per_second of the key %q", id)})
	check(t, "the key for another tenant", i.push(t, key, "samples429", i.numbered(90)), wrote{code: 429, samples: "0", exemplars: "0", comeback: "6", text: fmt.Sprintf("limits.samples_per_second of the key %q", id)})
	check(t, "the tenant without the key", i.push(t, i.operator, "keys", i.numbered(300)), wrote{code: 204, samples: "300", exemplars: "0"})
}

// shows asks for what was written, for what was left out, and for the figures.
func (i *ingest) shows(t *testing.T) {
	at := "&time=" + seconds(float64(i.nowMs)/1000)
	begin := "&start=" + seconds(float64(i.nowMs)/1000-60) + "&end=" + seconds(float64(i.nowMs)/1000+60)
	for _, c := range []struct{ id, path, want string }{
		{"series", "query?query=count(limited)" + at, `"9"]`},
		{"newcomers", "query?query=count(limited)" + at, `"3"]`},
		{"shapes", "query?query=count(a)" + at, `"4"]`},
		{"samples529", "query?query=count(limited)" + at, `"100"]`},
		{"keys", "query?query=count(limited)" + at, `"300"]`},
		{"requests", "query?query=count(limited)" + at, `"3"]`},
		{"requests", "query?query=old" + at, `"1"]`},
		{"requests", "metadata?limit=10", `"one":`},
		{"requests", "query_exemplars?query=limited" + begin, `"exemplars":[`},
		{"series", "user_stats", `"numSeries":9,`},
		{"samples529", "user_stats", `"newSeriesPerMinute":1`},
	} {
		eventually(t, time.Minute, c.id+" "+c.path, func() error {
			_, body := request(t, with(i.operator, i.url)+"/api/v1/"+c.path, "X-Scope-OrgID", c.id)
			if n := strings.Count(body, `"exemplars":[`); n > 1 || strings.Contains(body, `"two":`) {
				t.Errorf("%s: %s", c.path, body)
			}
			return contains(body, c.want)
		})
	}
	if n, err := metricSum(with(i.operator, i.url), "metricstream_remote_write_tenant_limited_total"); n < 1 || err != nil {
		t.Errorf("%v refused requests since the restart, %v", n, err)
	}
}
