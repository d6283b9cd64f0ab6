package e2e

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// What is written in TestPII. plain is in all that has the rest, so whoever searches for it finds it.
const (
	plain      = "zq-not-personal-at-all"
	personMail = "zqalice@example.com"
	personIP   = "198.51.100.77"
	personCard = "4111111111111111"
	personJWT  = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6cWFsaWNlIn0.c2lnbmF0dXJlLXpx"
	personID   = "ZQ-12345678"
	personTel  = "+491701234567" // reported only
)

var secrets = []string{personMail, personIP, personCard, personJWT, personID}

const piiConfig = `
log: {level: debug}
web: {enable_admin_api: true}
pii:
  detectors: {email: mask, ipv4: drop, credit_card: refuse, jwt: hash, phone: report}
  patterns: [{name: staff, regex: 'ZQ-[0-9]{8}', action: mask}]
`

// TestPII writes personal data and searches for it in the log, in the tables, in the metadata and in what the process
// prints: it is nowhere.
func TestPII(t *testing.T) {
	t.Parallel()
	data, database := filepath.Join(t.TempDir(), "data"), clickhouse(t)
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(file, []byte(piiConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--config.file=" + file, "--clickhouse.dsn=" + database}
	n := start(t, "all", data, flags...)
	now := time.Now().UnixMilli()

	code, text := writePersonal(t, n.url, now, personalSeries())
	if code != http.StatusBadRequest || !strings.Contains(text, `personal_data: series "orders"{"card"="[credit_card]"`) {
		t.Errorf("%d %s", code, text)
	}
	hides(t, "the answer", text)
	eventually(t, time.Minute, "the series without personal data", func() error {
		for expr, want := range map[string]int{
			`logins{user="[email]",plain="` + plain + `"}`: 1, `hosts{ip="",staff="[staff]"}`: 1, `tokens{token=~"\\[jwt:[b-t]{16}\\]"}`: 1, `calls{from="` + personTel + `"}`: 1,
			`{__name__="_email_"}`: 1, `orders`: 0,
		} {
			if err := count(n.url, expr, now, want); err != nil {
				return err
			}
		}
		return nil
	})
	for _, path := range []string{"/api/v1/status/rejections", "/api/v1/metadata", "/api/v1/series?match[]={plain!=\"\"}", "/api/v1/admin/audit", "/metrics"} {
		_, body := request(t, n.url+strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(path))
		hides(t, path, body)
	}
	if _, body := request(t, n.url+"/api/v1/query_exemplars?query=logins&start="+seconds(float64(now)/1000-60)+"&end="+seconds(float64(now)/1000+60)); !strings.Contains(body, plain) || !strings.Contains(body, "[email]") {
		t.Errorf("exemplars: %s", body)
	} else {
		hides(t, "exemplars", body)
	}
	findings(t, n)
	ownPolicy(t, n, now)

	// The secret of hashes outlives the process: the same token is the same series.
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	nowhere(t, data, database, n.Log)
	again := start(t, "all", data, flags...)
	if code, text := writePersonal(t, again.url, now+1000, personalSeries()[2:3]); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, text)
	}
	eventually(t, time.Minute, "one series from before and after", func() error { return count(again.url, `count_over_time(tokens[1m]) == 2`, now+1000, 1) })
	scan(t, again)
	hides(t, again.Log, read(t, again.Log))
}

// personalSeries are series with personal data in labels, exemplars and names.
func personalSeries() []prompb.TimeSeries {
	series := func(pairs ...string) (ts prompb.TimeSeries) {
		for i := 0; i < len(pairs); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return ts
	}
	all := []prompb.TimeSeries{
		series("__name__", "logins", "plain", plain, "user", personMail),
		series("__name__", "hosts", "ip", personIP+":9100", "plain", plain, "staff", personID),
		series("__name__", "tokens", "plain", plain, "token", personJWT),
		series("__name__", "orders", "card", personCard, "plain", plain),
		series("__name__", personMail, "plain", plain),
		series("__name__", "calls", "from", personTel, "plain", plain),
		series("__name__", "two", "plain", plain, "user", personMail, "user", personMail), // refused for another reason
	}
	all[5].Exemplars = []prompb.Exemplar{{Value: 1, Labels: []prompb.Label{{Name: "by", Value: personTel}}}}
	all[0].Exemplars = []prompb.Exemplar{{Value: 1, Labels: []prompb.Label{{Name: "plain", Value: plain}, {Name: "user", Value: personMail}}}}
	return all
}

// writePersonal writes a sample of each series, and metadata, and returns the answer.
func writePersonal(t *testing.T, server string, ms int64, series []prompb.TimeSeries) (int, string) {
	t.Helper()
	for i := range series {
		series[i].Samples = []prompb.Sample{{Timestamp: ms, Value: 1}}
		for j := range series[i].Exemplars {
			series[i].Exemplars[j].Timestamp = ms
		}
	}
	req := prompb.WriteRequest{Timeseries: series, Metadata: []prompb.MetricMetadata{
		{MetricFamilyName: "logins", Help: plain + ", ask " + personMail + " at " + personID}, {MetricFamilyName: "calls", Help: "dial " + personTel},
	}}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(server+"/api/v1/write", "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// findings waits until the administration lists what was found.
func findings(t *testing.T, n *node) {
	t.Helper()
	eventually(t, time.Minute, "the findings", func() error {
		code, body := request(t, n.url+"/api/v1/admin/pii/findings?tenant=anonymous")
		hides(t, "the findings", body+personTelIn(body))
		for _, want := range []string{
			`"detector":"email","label":"user","metric":"logins","action":"mask","series":2`, `"detector":"ipv4","label":"ip","metric":"hosts","action":"drop","series":1`,
			`"detector":"jwt","label":"token"`, `"detector":"staff","label":"__help__","metric":"logins"`, `"detector":"credit_card","label":"card","metric":"orders","action":"refuse"`,
			`"detector":"phone","label":"from","metric":"calls","action":"report"`, `"detector":"email","label":"__name__","metric":"_email_"`,
		} {
			if code != 200 || !strings.Contains(body, want) {
				return fmt.Errorf("%d %s, want %s", code, body, want)
			}
		}
		return nil
	})
}

// personTelIn returns a secret where the number that is only reported is shown.
func personTelIn(body string) string {
	if strings.Contains(body, personTel) {
		return personMail
	}
	return ""
}

// ownPolicy gives the tenant its own settings, and takes them back: the receiver does so within 5 s, also with series that
// it knows.
func ownPolicy(t *testing.T, n *node, now int64) {
	t.Helper()
	for _, c := range []struct {
		method, body string
		code         int
	}{{"PUT", `{"detectors":{"phone":"refuse"}}`, http.StatusBadRequest}, {"DELETE", "", http.StatusNoContent}} {
		if code := administer(t, c.method, n.url, "/tenants/anonymous/pii", c.body, nil); code != http.StatusOK {
			t.Fatalf("%s: %d", c.method, code)
		}
		eventually(t, inForce, c.method+" to be in force", func() error {
			if code, text := writePersonal(t, n.url, now, personalSeries()[5:6]); code != c.code {
				return fmt.Errorf("%d %s", code, text)
			}
			return nil
		})
	}
}

// hides checks that a text has no personal data.
func hides(t *testing.T, what, text string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%s shows %s:\n%.2000s", what, s, text)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// nowhere searches the data folder, the tables and the process's log.
func nowhere(t *testing.T, data, database, log string) {
	t.Helper()
	logged := ""
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text := read(t, path)
			hides(t, path, text)
			if strings.Contains(path, filepath.Join(data, "log")) {
				logged += text
			}
		}
		return err
	})
	if err != nil || !strings.Contains(logged, plain) || !strings.Contains(logged, "[email]") || !strings.Contains(logged, "_email_") {
		t.Errorf("the search in the log's %d bytes finds not even what is there: %v", len(logged), err)
	}
	tables := rowsOf(t, database)
	if hides(t, "the tables", tables); strings.Count(tables, plain) < 4 || !strings.Contains(tables, "[email]") {
		t.Errorf("the search in the tables' %d bytes finds not even what is there", len(tables))
	}
	if text := read(t, log); !strings.Contains(text, "refused part of a remote write request") {
		t.Errorf("the process does not log what it refuses:\n%s", text)
	} else {
		hides(t, log, text)
	}
}

// texts returns the texts of a statement's only column.
func texts(db *sql.DB, statement string) (all []string, _ error) {
	rows, err := db.Query(statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// rowsOf returns all rows of all tables of a database as text.
func rowsOf(t *testing.T, database string) string {
	t.Helper()
	o, err := clickhousego.ParseDSN(database)
	if err != nil {
		t.Fatal(err)
	}
	db := clickhousego.OpenDB(o)
	defer db.Close()
	names, err := texts(db, "SELECT name FROM system.tables WHERE database = '"+o.Auth.Database+"' AND engine LIKE '%MergeTree'")
	if err != nil || len(names) < 8 {
		t.Fatalf("tables %q: %v", names, err)
	}
	var all strings.Builder
	for _, name := range names {
		rows, err := texts(db, "SELECT formatRow('TSV', *) FROM `"+o.Auth.Database+"`.`"+name+"`")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all.WriteString(strings.Join(rows, ""))
	}
	return all.String()
}

// scan looks for what is stored: the number that was only reported, and would be masked by what is set for the tenant now.
func scan(t *testing.T, n *node) {
	t.Helper()
	if code := administer(t, "PUT", n.url, "/tenants/anonymous/pii", `{"detectors":{"phone":"mask"}}`, nil); code != http.StatusOK {
		t.Fatalf("the tenant's settings: %d", code)
	}
	out, err := exec.CommandContext(t.Context(), binary, "pii", "scan", "--url="+n.url, "--tenant=anonymous").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Contains(string(out), personTel) {
		t.Errorf("%v:\n%s", err, out)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		"anonymous phone mask series from calls 1", "anonymous phone mask exemplars by calls 1", "anonymous phone mask metadata __help__ calls 1", "personal data is stored",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not %q in:\n%s", want, out)
		}
	}
	hides(t, "the scan", string(out))
	command(t, true, []string{"pii", "scan", "--url=" + n.url, "--tenant=nobody"}, "nothing was found")
}
