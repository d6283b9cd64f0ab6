package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/db"
)

// erasing is a cluster with Kafka, PostgreSQL and Redis from which some of erasable are erased.
type erasing struct {
	*testing.T
	erasable
	postgres                    *testenv.Postgres
	remembered                  *redis.Client
	meta, shared                []string // flags
	receiver, querier, consumer *node
	tables                      sqlTables

	from, to int64             // the time of which a part is erased
	before   map[string]string // what the tables have of the neighbours
	said     map[string]string // what the querier says of them
}

// TestErasure erases on a cluster with Kafka, PostgreSQL and Redis one of two series that look alike, a lonely one, and a part
// of the time of another. Neither queries nor tables nor remembered answers have a value of them afterwards, nor after a replay
// of the whole log, and everything else is as before.
func TestErasure(t *testing.T) {
	t.Parallel()
	s := startErasing(t)
	s.fill()
	s.remember()
	command(t, true, []string{"erase", "--url=" + s.querier.url, `--match={__name__=~"twin.*",i="0"}`, "--match=lonely", "--reason=asked for", "--wait"}, "3 series, of 3 of them nothing is left", "metric_metadata")
	part := s.erasePart()
	s.nothingRemembered()
	s.gone("erased")
	s.folded()
	s.rest("erased")
	s.reported(part)
	s.refused()
	command(t, true, append(append([]string{"replay"}, s.meta...), s.shared...), "100.0%", "left out: 0 unreadable, 0 refused")
	s.gone("replayed")
	s.rest("replayed")

	// What is written again stays, with its labels.
	s.write(t, s.receiver.url, s.beginMs+2*hourMs)
	eventually(t, time.Minute, "what is written again", func() error {
		return count(s.querier.url, `count_over_time({__name__="twin",i="0"}[1h]) == 120`, s.beginMs+3*hourMs, 1)
	})
}

// startErasing starts the cluster. The consumer comes last: until then nobody would erase anything.
func startErasing(t *testing.T) *erasing {
	t.Helper()
	dsn, server := clickhouse(t), testenv.StartRedis(t)
	s := &erasing{T: t, erasable: newErasable(), postgres: testenv.StartPostgres(t), remembered: redis.NewClient(&redis.Options{Addr: server.Address, DisableIdentity: true})}
	t.Cleanup(func() { s.remembered.Close() })
	s.meta = []string{"--metadata.dsn=" + s.postgres.DSN}
	s.shared = []string{"--kafka.brokers=" + testenv.StartKafka(t).Address, "--kafka.topic=erasure", "--clickhouse.dsn=" + dsn}
	config := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(config, []byte("rollup: {min_samples: 1}\nredis: {address: "+server.Address+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	roles := append([]string{"--web.enable-admin-api", "--config.file=" + config}, append(s.meta, s.shared...)...)
	s.receiver, s.querier = start(t, "receiver", t.TempDir(), roles...), start(t, "querier", t.TempDir(), roles...)
	if code, text := post(t, s.receiver.url+"/api/v1/admin/tsdb/delete_series?match[]=up"); code != http.StatusServiceUnavailable || !strings.Contains(text, "no consumer") {
		t.Errorf("delete_series that nobody would do: %d %s", code, text)
	}
	s.consumer = start(t, "consumer", t.TempDir(), roles...)
	s.tables = openTables(t, dsn)
	// The half of an hour; ten minutes and a second of another.
	s.from, s.to = s.beginMs+1_800_000, s.beginMs+24*hourMs+601_000
	return s
}

func (s *erasing) key(i int) store.Key { return store.KeyOf(store.DefaultTenant, s.sets[i]) }

func (s *erasing) neighbours() map[string]string {
	s.Helper()
	return s.tables.sums(s.key(keepTwin), s.key(keepHistogram), s.key(keepPart))
}

// fill writes all hours, waits until they are folded, and looks at what has to stay.
func (s *erasing) fill() {
	s.Helper()
	for _, hour := range s.hours() {
		s.write(s.T, s.receiver.url, hour)
	}
	eventually(s.T, 3*time.Minute, "all hours to be folded", func() error {
		if n := s.tables.count("SELECT count() FROM (SELECT hour FROM rollup_hours GROUP BY hour HAVING argMax(state, rank) = 2)"); n < 26 {
			return fmt.Errorf("%d hours are", n)
		}
		return nil
	})
	s.folded()
	s.before, s.said = s.neighbours(), s.answers(s.T, s.querier.url, `{i="1"}`)
	for table, sum := range s.before {
		if strings.HasPrefix(sum, "0 rows") {
			s.Errorf("%s has nothing to keep", table)
		}
	}
}

// folded waits until no hour is marked.
func (s *erasing) folded() {
	s.Helper()
	eventually(s.T, 3*time.Minute, "the marked hours to be folded", func() error {
		if n := s.tables.count("SELECT count() FROM rollup_marks FINAL WHERE cleared = 0"); n > 0 {
			return fmt.Errorf("%d marks wait", n)
		}
		return nil
	})
}

// remember asks twice for what is erased later, so that the answers are remembered, in Redis too.
func (s *erasing) remember() {
	s.Helper()
	for range 2 {
		s.answers(s.T, s.querier.url, `{__name__=~"twin.*|lonely",i="0"}`)
		s.answers(s.T, s.querier.url, `part{i="0"}`)
	}
	if err := count(s.querier.url, `sum(count_over_time(part{i="0"}[26h])) == 480`, s.beginMs+26*hourMs, 1); err != nil {
		s.Error(err)
	}
	if len(s.answersInRedis()) == 0 {
		s.Error("Redis has no answers to forget")
	}
}

func (s *erasing) answersInRedis() []string {
	s.Helper()
	keys, err := s.remembered.Keys(s.Context(), "metricstream:answers:*").Result()
	if err != nil {
		s.Fatal(err)
	}
	return keys
}

// nothingRemembered is so when an erasure is done and nobody has asked since.
func (s *erasing) nothingRemembered() {
	s.Helper()
	if keys := s.answersInRedis(); len(keys) > 0 {
		s.Errorf("Redis still has %q", keys)
	}
}

// erasePart erases a part of the time of a series, while PostgreSQL is away at first: the erasure waits, and what is written is
// read nevertheless.
func (s *erasing) erasePart() (part db.Erasure) {
	s.Helper()
	resp, err := http.Post(fmt.Sprintf(`%s/prometheus/api/v1/admin/tsdb/delete_series?match[]=part{i="0"}&start=%d&end=%s`, s.receiver.url, s.from/1000, seconds(float64(s.to)/1000)), "", nil)
	if err != nil {
		s.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		s.Fatalf("delete_series answered %d", resp.StatusCode)
	}
	s.postgres.Kill()
	now := time.Now().UnixMilli()
	if code := postSamples(s.receiver.url, "", now, 1, 1, map[string]string{"__name__": "meanwhile"}); code != http.StatusNoContent {
		s.Errorf("write answered %d", code)
	}
	eventually(s.T, time.Minute, "samples without PostgreSQL", func() error { return count(s.querier.url, "meanwhile", now, 1) })
	s.postgres.Restart()
	eventually(s.T, time.Minute, "the part to be erased", func() error {
		administer(s.T, "GET", s.consumer.url, strings.TrimPrefix(resp.Header.Get("Location"), "/api/v1/admin"), "", &part)
		if part.State != db.ErasureDone {
			return fmt.Errorf("%s %s", part.State, part.Progress)
		}
		return nil
	})
	return part
}

// gone checks that nothing is left of what was erased, and everything of the rest. Each query is asked twice: the second answer
// is a remembered one.
func (s *erasing) gone(when string) {
	s.Helper()
	for _, i := range []int{eraseTwin, eraseHistogram, len(s.sets) - 1} {
		for table, sum := range s.tables.sums(s.key(i)) {
			if sum != "0 rows 0" {
				s.Errorf("%s: %s has %s of %s", when, table, sum, s.sets[i])
			}
		}
	}
	for range 2 {
		for name, text := range s.answers(s.T, s.querier.url, `{__name__=~"twin.*|lonely",i="0"}`) {
			if strings.Contains(text, "twin") || strings.Contains(text, "lonely") || strings.Contains(text, "__name__") {
				s.Errorf("%s: %s: %s", when, name, text)
			}
		}
		if diff := cmp.Diff(s.said, s.answers(s.T, s.querier.url, `{i="1"}`)); diff != "" {
			s.Errorf("%s: the neighbours changed in answers: %s", when, diff)
		}
	}
	p := s.key(erasePart)
	for _, table := range []string{"samples", "exemplars"} {
		if n := s.tables.count(fmt.Sprintf("SELECT count() FROM %s WHERE metric = %d AND id = %d AND ts BETWEEN %d AND %d", table, p.Metric, p.ID, s.from, s.to)); n > 0 {
			s.Errorf("%s: %s has %d rows of the erased time", when, table, n)
		}
	}
	text, err := getAs(s.querier.url+"/api/v1/metadata", "")
	if err != nil || strings.Contains(text, "lonely") || !strings.Contains(text, "about twin") || !strings.Contains(text, "about part") {
		s.Errorf("%s: metadata: %s, %v", when, text, err)
	}
	if diff := cmp.Diff(s.before, s.neighbours()); diff != "" {
		s.Errorf("%s: the neighbours changed in the tables: %s", when, diff)
	}
}

// rest checks what is left of the series of which a part was erased.
func (s *erasing) rest(when string) {
	s.Helper()
	for q, want := range map[string]string{
		// Of 480 samples: 60 of the first hour, and those from ten minutes on of the third with all of the fourth.
		`sum(count_over_time(part{i="0"}[26h]))`:           fmt.Sprint(60 + (120 - 21) + 120),
		`sum(count_over_time(part{i="0"}[1h] offset 25h))`: "60",
	} {
		at := float64(s.beginMs+26*hourMs) / 1000
		got, err := instant(s.querier.url, q, at)
		if err != nil || len(got.series) != 1 || got.series[0].points[0].value != want {
			s.Errorf("%s: %s is %v, %v, want %s", when, q, got, err, want)
		}
	}
}

// reported checks a report: its queries are for anybody, and right.
func (s *erasing) reported(part db.Erasure) {
	s.Helper()
	var samples db.ErasedTable
	for _, r := range part.Report.Tables {
		if n := s.tables.count(r.Query); n != r.After {
			s.Errorf("%s has %d rows, the report says %d", r.Table, n, r.After)
		}
		if r.Table == "samples" {
			samples = r
		}
	}
	if samples.Before < 60+120+21 || samples.After != 0 || part.Report.Gone != 0 || part.Actor == "" {
		s.Errorf("the report: %+v", part)
	}
}

// refused checks that without the metadata, where nobody knows what must not come back, nobody reads the log.
func (s *erasing) refused() {
	s.Helper()
	for _, args := range [][]string{
		append([]string{"replay"}, s.shared...),
		append([]string{"deadletter", "replay"}, s.shared...),
		append([]string{"deadletter", "replay"}, s.shared[:2]...),
		append([]string{"consumer", "--web.listen-address=" + testenv.FreeAddress(s.T), "--storage.path=" + s.TempDir()}, s.shared...),
	} {
		command(s.T, false, args, "set metadata.dsn")
	}
	s.gone("refused")
}
