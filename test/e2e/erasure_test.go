package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
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

// TestErasure erases on a cluster with Kafka and PostgreSQL one of two series that look alike, a lonely one, and a part of
// the time of another. Neither queries nor tables have a value of them afterwards, nor after a replay of the whole log, and
// everything else is as before.
func TestErasure(t *testing.T) {
	t.Parallel()
	dsn := clickhouse(t)
	postgres := testenv.StartPostgres(t)
	meta := []string{"--metadata.dsn=" + postgres.DSN}
	shared := []string{"--kafka.brokers=" + testenv.StartKafka(t).Address, "--kafka.topic=erasure", "--clickhouse.dsn=" + dsn}
	config := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(config, []byte("rollup: {min_samples: 1}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	roles := append([]string{"--web.enable-admin-api", "--config.file=" + config}, append(meta, shared...)...)
	receiver, querier := start(t, "receiver", t.TempDir(), roles...), start(t, "querier", t.TempDir(), roles...)
	if code, text := post(t, receiver.url+"/api/v1/admin/tsdb/delete_series?match[]=up"); code != http.StatusServiceUnavailable || !strings.Contains(text, "no consumer") {
		t.Errorf("delete_series that nobody would do: %d %s", code, text)
	}
	consumer := start(t, "consumer", t.TempDir(), roles...)
	e := newErasable()
	for _, hour := range e.hours() {
		e.write(t, receiver.url, hour)
	}
	tables := openTables(t, dsn)
	eventually(t, 3*time.Minute, "all hours to be folded", func() error {
		if n := tables.count("SELECT count() FROM (SELECT hour FROM rollup_hours GROUP BY hour HAVING argMax(state, rank) = 2)"); n < 26 {
			return fmt.Errorf("%d hours are", n)
		}
		if n := tables.count("SELECT count() FROM rollup_marks FINAL WHERE cleared = 0"); n > 0 {
			return fmt.Errorf("%d marks wait", n)
		}
		return nil
	})
	key := func(i int) store.Key { return store.KeyOf(store.DefaultTenant, e.sets[i]) }
	neighbours := []store.Key{key(keepTwin), key(keepHistogram), key(keepPart)}
	before, said := tables.sums(neighbours...), e.answers(t, querier.url, `{i="1"}`)
	for table, sum := range before {
		if strings.HasPrefix(sum, "0 rows") {
			t.Errorf("%s has nothing to keep", table)
		}
	}

	// Answers that somebody remembers do not bring anything back either.
	for range 2 {
		e.answers(t, querier.url, `{__name__=~"twin.*|lonely",i="0"}`)
		e.answers(t, querier.url, `part{i="0"}`)
	}
	if err := count(querier.url, `sum(count_over_time(part{i="0"}[26h])) == 480`, e.beginMs+26*hourMs, 1); err != nil {
		t.Error(err)
	}

	command(t, true, []string{"erase", "--url=" + querier.url, `--match={__name__=~"twin.*",i="0"}`, "--match=lonely", "--reason=asked for", "--wait"}, "3 series, of 3 of them nothing is left", "metric_metadata")
	from, to := e.beginMs+1_800_000, e.beginMs+24*hourMs+601_000 // the half of an hour; ten minutes and a second of another
	resp, err := http.Post(fmt.Sprintf(`%s/prometheus/api/v1/admin/tsdb/delete_series?match[]=part{i="0"}&start=%d&end=%s`, receiver.url, from/1000, seconds(float64(to)/1000)), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("delete_series answered %d", resp.StatusCode)
	}
	// Without the metadata the erasure waits, and what is written is read nevertheless.
	postgres.Kill()
	now := time.Now().UnixMilli()
	if code := postSamples(receiver.url, "", now, 1, 1, map[string]string{"__name__": "meanwhile"}); code != http.StatusNoContent {
		t.Errorf("write answered %d", code)
	}
	eventually(t, time.Minute, "samples without PostgreSQL", func() error { return count(querier.url, "meanwhile", now, 1) })
	postgres.Restart()
	var part db.Erasure
	eventually(t, time.Minute, "the part to be erased", func() error {
		administer(t, "GET", consumer.url, strings.TrimPrefix(resp.Header.Get("Location"), "/api/v1/admin"), "", &part)
		if part.State != db.ErasureDone {
			return fmt.Errorf("%s %s", part.State, part.Progress)
		}
		return nil
	})

	gone := func(when string) {
		t.Helper()
		for _, i := range []int{eraseTwin, eraseHistogram, len(e.sets) - 1} {
			for table, sum := range tables.sums(key(i)) {
				if sum != "0 rows 0" {
					t.Errorf("%s: %s has %s of %s", when, table, sum, e.sets[i])
				}
			}
		}
		for name, text := range e.answers(t, querier.url, `{__name__=~"twin.*|lonely",i="0"}`) {
			if strings.Contains(text, "twin") || strings.Contains(text, "lonely") || strings.Contains(text, "__name__") {
				t.Errorf("%s: %s: %s", when, name, text)
			}
		}
		p := key(erasePart)
		of := fmt.Sprintf("metric = %d AND id = %d AND ", p.Metric, p.ID)
		for _, table := range []string{"samples", "exemplars"} {
			if n := tables.count(fmt.Sprintf("SELECT count() FROM %s WHERE %s ts BETWEEN %d AND %d", table, of, from, to)); n > 0 {
				t.Errorf("%s: %s has %d rows of the erased time", when, table, n)
			}
		}
		text, err := getAs(querier.url+"/api/v1/metadata", "")
		if err != nil || strings.Contains(text, "lonely") || !strings.Contains(text, "about twin") || !strings.Contains(text, "about part") {
			t.Errorf("%s: metadata: %s, %v", when, text, err)
		}
		if diff := cmp.Diff(before, tables.sums(neighbours...)); diff != "" {
			t.Errorf("%s: the neighbours changed in the tables: %s", when, diff)
		}
		if diff := cmp.Diff(said, e.answers(t, querier.url, `{i="1"}`)); diff != "" {
			t.Errorf("%s: the neighbours changed in answers: %s", when, diff)
		}
	}
	rest := func(when string) {
		t.Helper()
		for q, want := range map[string]string{
			// Of 480 samples: 60 of the first hour, and those from ten minutes on of the third with all of the fourth.
			`sum(count_over_time(part{i="0"}[26h]))`:           fmt.Sprint(60 + (120 - 21) + 120),
			`sum(count_over_time(part{i="0"}[1h] offset 25h))`: "60",
		} {
			at := float64(e.beginMs+26*hourMs) / 1000
			got, err := instant(querier.url, q, at)
			if err != nil || len(got.series) != 1 || got.series[0].points[0].value != want {
				t.Errorf("%s: %s is %v, %v, want %s", when, q, got, err, want)
			}
		}
	}
	gone("erased")
	eventually(t, time.Minute, "the hours at the ends to be folded again", func() error {
		if n := tables.count("SELECT count() FROM rollup_marks FINAL WHERE cleared = 0"); n > 0 {
			return fmt.Errorf("%d marks wait", n)
		}
		return nil
	})
	rest("erased")

	// The report's queries are for anybody, and right.
	for _, r := range part.Report.Tables {
		if n := tables.count(r.Query); n != r.After {
			t.Errorf("%s has %d rows, the report says %d", r.Table, n, r.After)
		}
	}
	var samples db.ErasedTable
	for _, r := range part.Report.Tables {
		if r.Table == "samples" {
			samples = r
		}
	}
	if samples.Before < 60+120+21 || samples.After != 0 || part.Report.Gone != 0 || part.Actor == "" {
		t.Errorf("the report: %+v", part)
	}

	// Without the metadata nobody knows what must not come back: what would read the log refuses to.
	command(t, false, append([]string{"replay"}, shared...), "set metadata.dsn")
	command(t, false, append([]string{"deadletter", "replay"}, shared...), "set metadata.dsn")
	command(t, false, append([]string{"deadletter", "replay"}, shared[:2]...), "set metadata.dsn")
	command(t, false, append([]string{"consumer", "--web.listen-address=" + testenv.FreeAddress(t), "--storage.path=" + t.TempDir()}, shared...), "set metadata.dsn")
	gone("refused")

	// A replay, of the whole log.
	command(t, true, append(append([]string{"replay"}, meta...), shared...), "100.0%", "left out: 0 unreadable, 0 refused")
	gone("replayed")
	rest("replayed")

	// What is written again stays, with its labels.
	e.write(t, receiver.url, e.beginMs+2*hourMs)
	eventually(t, time.Minute, "what is written again", func() error {
		return count(querier.url, `count_over_time({__name__="twin",i="0"}[1h]) == 120`, e.beginMs+3*hourMs, 1)
	})
}
