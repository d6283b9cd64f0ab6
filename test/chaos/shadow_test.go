package chaos

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/store"
)

// stamped is a producer of records that were written at some time.
type stamped struct {
	sarama.SyncProducer
	at time.Time
}

func (p *stamped) SendMessages(ms []*sarama.ProducerMessage) error {
	for _, m := range ms {
		m.Timestamp = p.at
	}
	return p.SyncProducer.SendMessages(ms)
}

// shadowSeries and shadowSamples are what fillLog writes: so many series of one sample a second.
const shadowSeries, shadowSamples = 8, 40

// fillLog makes an embedded log that begins three days ago and holds samples of yesterday's noon.
func fillLog(t *testing.T, dir string, day time.Time) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Partitions = partitions
	log, err := kafka.OpenEmbedded(dir, cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &stamped{log.Producer, day.Add(-48 * time.Hour)}
	producer := kafka.NewProducer(cfg, p, kafka.ProducerOptions{Partitions: log.Partitions})
	for i := range int64(shadowSamples) {
		b := &store.Batch{}
		for j := range shadowSeries {
			ls := labels.FromStrings("__name__", "shadowed", "i", fmt.Sprint(j))
			k, at := store.KeyOf("anonymous", ls), day.Add(12*time.Hour).UnixMilli()+i*1000
			b.Series = append(b.Series, store.Series{Tenant: "anonymous", Key: k, Labels: ls, MinMs: at, MaxMs: at})
			b.Samples.Append(k, at, store.Decimal{Mant: i})
		}
		if err := producer.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		p.at = day.Add(12 * time.Hour).Add(time.Duration(i) * time.Second)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// command runs the binary with a failpoint armed, or none, and returns what it prints. It dies where one is armed.
func (n *node) command(t *testing.T, failpoint string, ok bool, args ...string) string {
	t.Helper()
	args = append(append(args, "--config.file="+filepath.Join(n.dir, "config.yml"), "--storage.path="+n.data()), n.flags...)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "METRICSTREAM_FAILPOINT="+failpoint)
	out, err := cmd.CombinedOutput()
	t.Logf("metricstream %s, to die at %q: %v\n%s", strings.Join(args, " "), failpoint, err, out)
	if failpoint != "" && cmd.ProcessState.String() != "signal: killed" {
		t.Fatalf("not killed at %s", failpoint)
	}
	if failpoint == "" && (err == nil) != ok {
		t.Fatalf("ended with %v", err)
	}
	return string(out)
}

// says runs a command to its end and checks what it prints.
func (n *node) says(t *testing.T, ok bool, args []string, want ...string) {
	t.Helper()
	out := n.command(t, "", ok, args...)
	for _, text := range want {
		if !strings.Contains(out, text) {
			t.Errorf("metricstream %s does not say %q", strings.Join(args, " "), text)
		}
	}
}

// TestShadow damages the live tables, reads the log into a shadow, compares and swaps, with a kill at every step.
func TestShadow(t *testing.T) {
	t.Parallel()
	dsn, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/shadow_test"
	n := newNode(t, "all", "--clickhouse.dsn="+dsn.String())
	if err := os.WriteFile(filepath.Join(n.dir, "config.yml"), []byte(config+"  flush_rows: 16\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	date := day.Format(time.DateOnly)
	fillLog(t, filepath.Join(n.data(), "log"), day)
	n.says(t, true, []string{"replay"}, "100.0%")
	db := openDatabase(t, dsn.String())
	damage(t, db, day)

	n.says(t, false, []string{"shadow", "diff"}, "there is no shadow")
	for range 2 {
		n.command(t, "replay/before-span:3", true, "replay", "--shadow")
	}
	n.says(t, false, []string{"replay", "--shadow", "--from=oldest"}, "the shadow has begun already")
	n.says(t, true, []string{"replay", "--shadow"}, "100.0%", "The shadow, database shadow_test_shadow, holds offsets 0:0-39")
	n.says(t, true, []string{"replay", "--shadow"}, "replaying 0 records")
	n.says(t, true, []string{"shadow", "diff"}, "From "+day.AddDate(0, 0, -1).Format(time.DateOnly)+" on it has every sample",
		diffLine(date, 2, 3, shadowSeries*shadowSamples-3, 2),
		`{__name__="shadowed", i="3"} of tenant "anonymous": 0 rows only live, 3 only in the shadow`, "only shadow  "+date+"T12:00:05.000Z  5",
		`{__name__="shadowed", i="5"} of tenant "anonymous": 2 rows only live, 0 only in the shadow`, "only live    "+date+"T12:00:08.000Z  777",
		"2 rows are only live, 3 only in the shadow")

	n.says(t, false, []string{"shadow", "swap"}, "say which days")
	n.says(t, false, []string{"shadow", "swap", "--day=2001-02-03"}, "nothing of 2001-02-03")
	n.says(t, false, []string{"shadow", "swap", "--all"}, "nothing was done", "2 rows of "+date+" in samples")
	n.command(t, "clickhouse/shadow-added", true, "shadow", "swap", "--all", "--live-only=keep")
	n.says(t, true, []string{"shadow", "swap", "--all", "--live-only=keep"}, "added")
	n.says(t, true, []string{"shadow", "diff"}, diffLine(date, 2, 0, shadowSeries*shadowSamples, 1))

	remove := []string{"shadow", "swap", "--day=" + date, "--live-only=remove"}
	for _, point := range []string{"clickhouse/shadow-kept", "clickhouse/shadow-replaced", "shadow/replaced", "shadow/read-on"} {
		n.command(t, point, true, remove...)
		n.says(t, false, []string{"shadow", "drop"}, "the swap of "+date+" is not finished")
	}
	n.says(t, true, []string{"shadow", "swap", "--day=" + date}, "finishing what was interrupted: "+date, "replaced_*", "added")
	n.says(t, true, []string{"shadow", "diff"}, diffLine(date, 0, 0, shadowSeries*shadowSamples, 0), "0 rows are only live, 0 only in the shadow")
	for _, c := range []struct{ change, want string }{
		{"next_offset + 1 AS next_offset", "cannot go on at offset 4"},
		{"next_offset + 9 AS next_offset, 'another' AS generation", "the topic is another one"},
	} {
		if err := db.Exec(t.Context(), "INSERT INTO shadow_test_shadow.shadow_spans SELECT * REPLACE("+c.change+") FROM shadow_test_shadow.shadow_spans FINAL"); err != nil {
			t.Fatal(err)
		}
		n.says(t, false, []string{"replay", "--shadow"}, c.want, "shadow drop")
	}
	n.says(t, true, []string{"shadow", "drop"}, "dropped")

	n.startReady(t)
	at := day.Add(12*time.Hour + time.Minute).Unix()
	for query, want := range map[string]string{
		"sum(count_over_time(shadowed[2m]))": fmt.Sprint(shadowSeries * shadowSamples),
		"sum(sum_over_time(shadowed[2m]))":   fmt.Sprint(shadowSeries * shadowSamples * (shadowSamples - 1) / 2),
	} {
		out, err := exec.Command("curl", "-s", "-G", n.url()+"/api/v1/query", "--data-urlencode", "query="+query, "-d", fmt.Sprint("time=", at)).Output()
		if err != nil || !strings.Contains(string(out), `"`+want+`"`) {
			t.Errorf("%s: %v %s, want %s", query, err, out, want)
		}
	}
}

// diffLine is how a diff shows a day of samples.
func diffLine(date string, live, shadow, both, series int) string {
	return fmt.Sprintf("%-10s  %-10s  %12d  %12d  %12d  %8d\n", date, "samples", live, shadow, both, series)
}

// damage takes three samples of one series out of the live tables and adds two wrong ones to another.
func damage(t *testing.T, db *database, day time.Time) {
	t.Helper()
	of := func(i string) store.Key {
		return store.KeyOf("anonymous", labels.FromStrings("__name__", "shadowed", "i", i))
	}
	at := func(i int64) int64 { return day.Add(12*time.Hour).UnixMilli() + i*1000 }
	for _, statement := range []string{
		fmt.Sprintf("ALTER TABLE samples DELETE WHERE id = %d AND ts IN (%d, %d, %d) SETTINGS mutations_sync = 2", of("3").ID, at(5), at(6), at(7)),
		fmt.Sprintf("INSERT INTO samples (metric, id, ts, exp, mant) VALUES (%[1]d, %[2]d, %[3]d, 0, 777), (%[1]d, %[2]d, %[4]d, 0, 778)", of("5").Metric, of("5").ID, at(8), at(1000)),
	} {
		if err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
