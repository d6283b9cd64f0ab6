package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// request sends a GET with headers and returns the status and the body.
func request(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// produce writes one sample and returns where in the log it is.
func produce(t *testing.T, server, name string, value int, ms int64) string {
	t.Helper()
	code, header := writeSamples(server, "", ms, float64(value), 1, map[string]string{"__name__": name, "job": name})
	produced := header.Get("X-Produced-Offsets")
	if code != http.StatusNoContent || !strings.Contains(produced, ";generation=") {
		t.Fatalf("the write answered %d, X-Produced-Offsets: %q", code, produced)
	}
	return produced
}

// readers are the endpoints that read, each with what its answer has when it sees the sample.
func readers(name string, value int, ms int64) map[string]string {
	selector := url.QueryEscape(name)
	at := seconds(float64(ms) / 1000)
	return map[string]string{
		"/api/v1/query?query=" + selector + "&time=" + at:                                         fmt.Sprintf(`"%d"`, value),
		"/prometheus/api/v1/query_range?step=1&query=" + selector + "&start=" + at + "&end=" + at: fmt.Sprintf(`"%d"`, value),
		"/api/v1/series?match[]=" + selector:                                                      name,
		"/api/v1/label/job/values?match[]=" + selector:                                            name,
		"/federate?match[]=" + selector:                                                           fmt.Sprintf(" %d ", value),
	}
}

// seesItsWrites writes and reads at once, again and again: a strong read always sees what was written before it.
func seesItsWrites(t *testing.T, receiver, querier string) {
	t.Helper()
	ms := time.Now().UnixMilli() - 10_000
	for i := range 12 {
		name := fmt.Sprintf("strong_%d", i)
		produced := produce(t, receiver, name, i, ms)
		headers := [][]string{{"X-Read-Consistency", "strong"}, {"X-Read-Consistency-Offsets", produced},
			{"X-Read-Consistency", "strong", "X-Read-Consistency-Offsets", strings.Split(produced, ";")[0]}}[i%3]
		paths := readers(name, i, ms)
		all := make([]string, 0, len(paths))
		for path := range paths {
			all = append(all, path)
		}
		path := all[i%len(all)]
		if status, body := request(t, querier+path, headers...); status != http.StatusOK || !strings.Contains(body, paths[path]) {
			t.Errorf("%d: %s with %v: %d %s, want %s", i, path, headers, status, body, paths[path])
		}
	}
}

// shortLimit configures strong reads to give up soon.
func shortLimit(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "short.yml")
	if err := os.WriteFile(file, []byte("strong_reads: {timeout: 2s}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return "--config.file=" + file
}

// refusesStrong checks that strong reads are refused with a reason while others are answered.
func refusesStrong(t *testing.T, querier, reason string) {
	t.Helper()
	const path = "/api/v1/query?query=vector(1)"
	if status, body := request(t, querier+path, "X-Read-Consistency", "strong"); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, `"errorType":"unavailable"`) || !strings.Contains(body, reason) {
		t.Errorf("a strong read: %d %s, want 503 with %q", status, body, reason)
	}
	for _, headers := range [][]string{nil, {"X-Read-Consistency", "eventual"}} {
		if status, body := request(t, querier+path, headers...); status != http.StatusOK {
			t.Errorf("a read with %v: %d %s", headers, status, body)
		}
	}
}

func TestStrongReads(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data)
	if status, body := request(t, n.url+"/api/v1/query?query=up", "X-Read-Consistency", "strong"); status != http.StatusOK {
		t.Errorf("with nothing written: %d %s", status, body)
	}
	seesItsWrites(t, n.url, n.url)
	if status, body := request(t, n.url+"/api/v1/query?query=up", "X-Read-Consistency", "stronger"); status != http.StatusBadRequest ||
		!strings.Contains(body, "strong or eventual") {
		t.Errorf("an unknown word: %d %s", status, body)
	}

	// The tables know more records of the log that was there before than the next one has.
	before := produce(t, n.url, "before", 1, time.Now().UnixMilli())
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(data, "log")); err != nil {
		t.Fatal(err)
	}
	n = start(t, "all", data)
	ms := time.Now().UnixMilli()
	after := produce(t, n.url, "after", 2, ms)
	if strings.Split(before, ";")[1] == strings.Split(after, ";")[1] {
		t.Errorf("the next log's receipt is %s, that of the one before %s", after, before)
	}
	for path, want := range readers("after", 2, ms) {
		if status, body := request(t, n.url+path, "X-Read-Consistency", "strong"); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s of another log: %d %s, want %s", path, status, body, want)
		}
	}
}

// TestStrongReadsOnKafka has the roles as processes of their own.
func TestStrongReadsOnKafka(t *testing.T) {
	t.Parallel()
	kafka := testenv.StartKafka(t)
	clickhouse := "--clickhouse.dsn=" + clickhouse(t)
	shared := []string{"--kafka.brokers=" + kafka.Address, "--kafka.topic=strong", clickhouse}
	receiver := start(t, "receiver", t.TempDir(), shared...)
	consumer := start(t, "consumer", t.TempDir(), shared...)
	querier := start(t, "querier", t.TempDir(), append(shared, shortLimit(t))...)
	patient := start(t, "querier", t.TempDir(), shared...)
	alone := start(t, "querier", t.TempDir(), clickhouse, "--kafka.topic=strong")
	seesItsWrites(t, receiver.url, patient.url)

	// A querier without brokers knows no log, but what a receipt names.
	produced := produce(t, receiver.url, "alone", 1, time.Now().UnixMilli())
	if status, body := request(t, alone.url+"/api/v1/query?query=alone", "X-Read-Consistency", "strong"); status != http.StatusBadRequest ||
		!strings.Contains(body, "kafka.brokers") {
		t.Errorf("without brokers: %d %s", status, body)
	}
	if status, body := request(t, alone.url+"/api/v1/query?query=alone", "X-Read-Consistency-Offsets", produced); status != http.StatusOK ||
		!strings.Contains(body, `"1"`) {
		t.Errorf("without brokers, with a receipt: %d %s", status, body)
	}

	if err := consumer.Interrupt(); err != nil { // it leaves the group, so that the next one need not wait until it is missed
		t.Fatalf("the process did not end by itself: %v", err)
	}
	produce(t, receiver.url, "unseen", 1, time.Now().UnixMilli())
	refusesStrong(t, querier.url, "consumers run")
	kafka.Kill()
	refusesStrong(t, querier.url, "cannot learn what was written")

	// A querier starts without Kafka, and finds it when it is back.
	late := start(t, "querier", t.TempDir(), append(shared, shortLimit(t))...)
	refusesStrong(t, late.url, "cannot learn what was written")
	kafka.Restart()
	start(t, "consumer", t.TempDir(), shared...)
	eventually(t, 2*time.Minute, "a strong read is answered", func() error {
		status, body := request(t, late.url+"/api/v1/query?query=unseen", "X-Read-Consistency", "strong")
		if status != http.StatusOK || !strings.Contains(body, `"1"`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}
