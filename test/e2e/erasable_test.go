package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/store"
)

const hourMs = 3_600_000

// erasable are series that look alike, with samples, histograms, exemplars and metadata in two hours of each of two days.
type erasable struct {
	beginMs int64 // of the first hour
	sets    []labels.Labels
}

// The series of erasable, by their places in sets.
const (
	eraseTwin, keepTwin, eraseHistogram, keepHistogram, erasePart, keepPart = 0, 1, 2, 3, 4, 5
)

func newErasable() erasable {
	e := erasable{beginMs: time.Now().UnixMilli()/hourMs*hourMs - 50*hourMs}
	for _, name := range []string{"twin", "twin_histogram", "part"} {
		for i := range 2 {
			e.sets = append(e.sets, labels.FromStrings("__name__", name, "i", fmt.Sprint(i)))
		}
	}
	e.sets = append(e.sets, labels.FromStrings("__name__", "lonely", "i", "0"))
	return e
}

// hours are the begins of the hours.
func (e erasable) hours() []int64 {
	return []int64{e.beginMs, e.beginMs + hourMs, e.beginMs + 24*hourMs, e.beginMs + 25*hourMs}
}

// write sends an hour, a sample each half minute.
func (e erasable) write(t *testing.T, server string, begin int64) {
	t.Helper()
	req := prompb.WriteRequest{}
	for i, set := range e.sets {
		s := prompb.TimeSeries{Labels: prompb.FromLabels(set, nil)}
		for at := begin + 1000; at < begin+hourMs; at += 30_000 {
			if i == eraseHistogram || i == keepHistogram {
				h := &histogram.Histogram{Count: uint64(at / 30_000), Sum: float64(i), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{at / 30_000}}
				s.Histograms = append(s.Histograms, prompb.FromIntHistogram(at, h))
				continue
			}
			s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: float64(at%hourMs) + float64(i)})
		}
		s.Exemplars = []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace", Value: fmt.Sprint("of", i)}}, Value: 1, Timestamp: begin + 1000}}
		req.Timeseries = append(req.Timeseries, s)
		req.Metadata = append(req.Metadata, prompb.MetricMetadata{MetricFamilyName: set.Get("__name__"), Help: "about " + set.Get("__name__"), Type: prompb.MetricMetadata_GAUGE})
	}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("write answered %d", resp.StatusCode)
	}
}

// answers are what a querier says of some series, raw, from tiers, exemplars, series and labels.
func (e erasable) answers(t *testing.T, querier, selector string) map[string]string {
	t.Helper()
	start, end := fmt.Sprint(e.beginMs/1000), fmt.Sprint(e.beginMs/1000+26*3600)
	out := map[string]string{}
	for name, path := range map[string]string{
		"raw":       "/api/v1/query_range?step=60&query=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + fmt.Sprint(e.beginMs/1000+7200),
		"kept":      "/api/v1/query_range?step=15&query=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + fmt.Sprint(e.beginMs/1000+7200), // 120 steps and more are remembered
		"raw later": "/api/v1/query_range?step=60&query=" + url.QueryEscape(selector) + "&start=" + fmt.Sprint(e.beginMs/1000+24*3600) + "&end=" + end,
		"hours":     "/api/v1/query_range?step=3600&query=" + url.QueryEscape("count_over_time("+selector+"[1h])") + "&start=" + start + "&end=" + end,
		"minutes":   "/api/v1/query_range?step=60&query=" + url.QueryEscape("max_over_time("+selector+"[1m])") + "&start=" + start + "&end=" + fmt.Sprint(e.beginMs/1000+7200),
		"exemplars": "/api/v1/query_exemplars?query=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + end,
		"series":    "/api/v1/series?match[]=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + end,
		"labels":    "/api/v1/labels?match[]=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + end,
		"values":    "/api/v1/label/i/values?match[]=" + url.QueryEscape(selector) + "&start=" + start + "&end=" + end,
	} {
		text, err := getAs(querier+path, "")
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Data json.RawMessage }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%s: %s", name, text)
		}
		out[name] = string(answer.Data)
	}
	return out
}

// sqlTables are opened to look at the tables themselves.
type sqlTables struct {
	t *testing.T
	chgo.Conn
}

func openTables(t *testing.T, dsn string) sqlTables {
	t.Helper()
	o, err := chgo.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := chgo.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return sqlTables{t, conn}
}

// erasedTables are all that have rows of series.
var erasedTables = []string{"samples", "histograms", "exemplars", "rollup_1m", "rollup_1h", "rollup_histograms_1m", "rollup_histograms_1h", "series", "postings"}

// sums returns what the tables have of some series, with a condition on the time where the table has one.
func (s sqlTables) sums(keys ...store.Key) map[string]string {
	s.t.Helper()
	var list []string
	for _, k := range keys {
		list = append(list, fmt.Sprintf("(%d, %d)", k.Metric, k.ID))
	}
	out := map[string]string{}
	for _, table := range erasedTables {
		columns := "*"
		if strings.HasPrefix(table, "rollup") {
			columns = "* EXCEPT ver" // a fold that is done again has another one
		}
		var n, sum uint64
		q := fmt.Sprintf("SELECT count(), groupBitXor(cityHash64(*)) FROM (SELECT %s FROM %s FINAL WHERE (metric, id) IN (%s))", columns, table, strings.Join(list, ", "))
		if err := s.QueryRow(s.t.Context(), q).Scan(&n, &sum); err != nil {
			s.t.Fatal(err)
		}
		out[table] = fmt.Sprintf("%d rows %x", n, sum)
	}
	return out
}

func (s sqlTables) count(q string) (n uint64) {
	s.t.Helper()
	if err := s.QueryRow(s.t.Context(), q).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}
