package clickhouse_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

const shadowDay = clickhouse.Day(20_000)

// shadowed is a live store and its shadow, of which both hold the same two series of 100 samples.
type shadowed struct {
	live   *clickhouse.Store
	shadow *clickhouse.Shadow
	a, b   labels.Labels
}

func startShadowed(t *testing.T, live *clickhouse.Store) *shadowed {
	t.Helper()
	s := &shadowed{live: live, a: labels.FromStrings("__name__", "m", "i", "a"), b: labels.FromStrings("__name__", "n", "i", "it's b")}
	var err error
	if s.shadow, err = live.CreateShadow(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.shadow.Close(); err != nil {
			t.Error(err)
		}
	})
	s.shadow.SetSliceRows(60) // several statements, and metrics that do not fit into one
	for _, w := range []store.Writer{live, s.shadow.Store()} {
		for from := int64(0); from < 100; from += 25 {
			b := batchOf("t", shadowDay.MinMs(), s.a, s.b)
			b.Samples.Reset()
			for i := from; i < from+25; i++ {
				for _, series := range b.Series {
					b.Samples.Append(series.Key, shadowDay.MinMs()+i, store.Decimal{Mant: i})
				}
			}
			write(t, w, b)
		}
	}
	return s
}

func (s *shadowed) exec(t *testing.T, statement string) {
	t.Helper()
	if err := s.live.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// damage takes three rows of a from the live tables and adds two wrong ones of b.
func (s *shadowed) damage(t *testing.T) {
	t.Helper()
	k, l := store.KeyOf("t", s.a), store.KeyOf("t", s.b)
	s.exec(t, fmt.Sprintf("ALTER TABLE samples DELETE WHERE id = %d AND ts IN (%d, %d, %d) SETTINGS mutations_sync = 2", k.ID, shadowDay.MinMs()+5, shadowDay.MinMs()+6, shadowDay.MaxMs()))
	s.exec(t, fmt.Sprintf("ALTER TABLE samples DELETE WHERE id = %d AND ts = %d SETTINGS mutations_sync = 2", k.ID, shadowDay.MinMs()+7))
	s.exec(t, fmt.Sprintf("INSERT INTO samples (metric, id, ts, exp, mant) VALUES (%d, %d, %d, 0, 777), (%d, %d, %d, -1, 7785)",
		l.Metric, l.ID, shadowDay.MinMs()+8, l.Metric, l.ID, shadowDay.MaxMs()))
}

func (s *shadowed) diff(t *testing.T) []clickhouse.Difference {
	t.Helper()
	out, err := s.shadow.Diff(t.Context(), shadowDay, 10)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// values are what readers see of the day, by the label i.
func (s *shadowed) values(t *testing.T) map[string][]float64 {
	t.Helper()
	out := map[string][]float64{}
	for _, d := range selectAll(t, s.live, everything("t", labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m|n"))) {
		out[d.Labels.Get("i")] = d.Values
	}
	return out
}

func counting(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i)
	}
	return out
}

func TestShadowDiffNamesWhatDiffers(t *testing.T) {
	s := startShadowed(t, open(t))
	// The same value in another encoding is no difference, nor are rows that wait to be merged.
	k := store.KeyOf("t", s.a)
	s.exec(t, fmt.Sprintf("INSERT INTO samples (metric, id, ts, exp, mant) VALUES (%d, %d, %d, -2, 4200)", k.Metric, k.ID, shadowDay.MinMs()+42))
	if diff := cmp.Diff([]clickhouse.Difference{{Day: shadowDay, Table: "samples", Both: 200}}, s.diff(t)); diff != "" {
		t.Errorf("equal tables:\n%s", diff)
	}
	s.damage(t)
	at := func(i int64) int64 { return shadowDay.MinMs() + i }
	want := []clickhouse.Difference{{
		Day: shadowDay, Table: "samples", OnlyLive: 2, OnlyShadow: 3, Both: 197, Series: 2,
		Examples: []clickhouse.SeriesDifference{
			{Key: k, Tenant: "t", Labels: s.a, OnlyShadow: 3, Rows: []clickhouse.RowDifference{
				{TimeMs: at(5), Text: "5"}, {TimeMs: at(6), Text: "6"}, {TimeMs: at(7), Text: "7"}}},
			{Key: store.KeyOf("t", s.b), Tenant: "t", Labels: s.b, OnlyLive: 2, Rows: []clickhouse.RowDifference{
				{TimeMs: at(8), Live: true, Text: "777"}, {TimeMs: shadowDay.MaxMs(), Live: true, Text: "778.5"}}},
		},
	}}
	got := s.diff(t)
	if len(got) == 1 && len(got[0].Examples) == 2 && got[0].Examples[0].OnlyLive > 0 {
		got[0].Examples[0], got[0].Examples[1] = got[0].Examples[1], got[0].Examples[0]
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(labels.Equal)); diff != "" {
		t.Errorf("damaged tables:\n%s", diff)
	}
	if days, err := s.shadow.Days(t.Context(), 0); err != nil || !cmp.Equal(days, []clickhouse.Day{shadowDay}) {
		t.Errorf("days %v, %v", days, err)
	}
}

// Rows of a day that the log would know, if there were any, are seen; older days are not the log's business.
func TestShadowDaysOnlyLive(t *testing.T) {
	s := startShadowed(t, open(t))
	for _, day := range []clickhouse.Day{-3, shadowDay - 1, shadowDay + 1000} {
		write(t, s.live, batchOf("t", day.MinMs(), s.a))
	}
	days, err := s.shadow.Days(t.Context(), (shadowDay - 1).MinMs())
	if err != nil || !cmp.Equal(days, []clickhouse.Day{shadowDay - 1, shadowDay, shadowDay + 1000}) {
		t.Fatalf("days %v, %v", days, err)
	}
	if err := s.shadow.Replace(t.Context(), shadowDay+1000); err != nil {
		t.Fatal(err)
	}
	if days, err := s.shadow.Days(t.Context(), shadowDay.MinMs()); err != nil || len(days) != 1 {
		t.Errorf("after the wrong day was replaced by nothing: %v, %v", days, err)
	}
}

func TestShadowAddKeepsWhatIsLive(t *testing.T) {
	s := startShadowed(t, open(t))
	s.damage(t)
	for range 2 {
		if err := s.shadow.Add(t.Context(), shadowDay); err != nil {
			t.Fatal(err)
		}
		got := s.diff(t)
		if len(got) != 1 || got[0].OnlyShadow != 0 || got[0].OnlyLive != 2 || got[0].Both != 200 {
			t.Errorf("got %+v", got)
		}
	}
	if got := s.values(t); !cmp.Equal(got["a"], counting(100)) || len(got["it's b"]) != 101 {
		t.Errorf("readers see %v", got)
	}
}

func TestShadowReplaceKeepsWhatWasLive(t *testing.T) {
	s := startShadowed(t, open(t))
	s.damage(t)
	write(t, s.live, batchOf("t", (shadowDay-1).MinMs(), s.a)) // another day, which stays
	ctx := t.Context()
	for range 2 { // a second time, as after a crash
		if err := s.shadow.Replace(ctx, shadowDay); err != nil {
			t.Fatal(err)
		}
		got := s.values(t)
		if !cmp.Equal(got["a"], append([]float64{0}, counting(100)...)) || !cmp.Equal(got["it's b"], counting(100)) {
			t.Errorf("readers see %v", got)
		}
	}
	var kept uint64
	if err := s.live.Scan(ctx, "SELECT count() FROM (SELECT DISTINCT metric, id, ts, value FROM "+s.shadow.Name()+".replaced_samples)", &kept); err != nil || kept < 199 {
		t.Errorf("%d rows of before are kept, %v", kept, err)
	}
	if days, err := s.shadow.Unfinished(ctx); err != nil || !cmp.Equal(days, []clickhouse.Day{shadowDay}) {
		t.Errorf("unfinished: %v, %v", days, err)
	}
	if err := s.shadow.Drop(ctx); store.KindOf(err) != store.KindInvalid {
		t.Errorf("dropped with an unfinished day: %v", err)
	}
	if err := s.shadow.Finish(ctx, []clickhouse.Day{shadowDay}); err != nil {
		t.Fatal(err)
	}
	if err := s.shadow.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.live.OpenShadow(ctx); store.KindOf(err) != store.KindInvalid {
		t.Errorf("a dropped shadow opens: %v", err)
	}
}

// Everything that a batch can have comes over, into tables that have lost it all.
func TestShadowAddsAllTables(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	shadow, err := s.CreateShadow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer shadow.Close()
	b := mixedBatch(rand.New(rand.NewPCG(3, 3)))
	b.Progress = []store.Progress{{Topic: "x", Partition: 1, NextOffset: 7}}
	write(t, s, b)
	want := checksums(t, s)
	write(t, shadow.Store(), b)
	for _, table := range []string{"samples", "starts", "histograms", "exemplars", "series", "postings", "metric_metadata"} {
		if err := s.Exec(ctx, "TRUNCATE TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
	if missing, err := shadow.DiffLabelSets(ctx); err != nil || missing != (clickhouse.LabelSets{OnlyShadow: 20}) {
		t.Errorf("label sets: %+v, %v", missing, err)
	}
	if err := shadow.AddSeries(ctx); err != nil {
		t.Fatal(err)
	}
	days, err := shadow.Days(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range days {
		if err := shadow.Add(ctx, day); err != nil {
			t.Fatal(err)
		}
		got, err := shadow.Diff(ctx, day, 1)
		if err != nil || len(got) != 4 {
			t.Fatalf("%v, %v", got, err)
		}
		for _, d := range got {
			if d.OnlyLive+d.OnlyShadow+d.Series > 0 {
				t.Errorf("%+v", d)
			}
		}
	}
	if diff := cmp.Diff(want, checksums(t, s)); diff != "" {
		t.Errorf("not as before:\n%s", diff)
	}
	if err := shadow.Store().Exec(ctx, "TRUNCATE TABLE series"); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "TRUNCATE TABLE series"); err != nil {
		t.Fatal(err)
	}
	if missing, err := shadow.DiffLabelSets(ctx); err != nil || missing.Missing != 20 {
		t.Errorf("label sets of nobody: %+v, %v", missing, err)
	}
}

func TestShadowRemembersItsSpans(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	shadow, err := s.CreateShadow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	spans := []clickhouse.ShadowSpan{{Partition: 0, From: 5, Next: 5, FromMs: 99, Generation: "it's"}, {Partition: 3, From: 7, Next: 7}}
	if err := shadow.SetSpans(ctx, "it's", spans); err != nil {
		t.Fatal(err)
	}
	spans[1].Next, spans[1].LeftOut = 20, 2
	if err := shadow.SetSpans(ctx, "it's", spans[1:]); err != nil {
		t.Fatal(err)
	}
	if err := shadow.Close(); err != nil {
		t.Fatal(err)
	}
	if shadow, err = s.OpenShadow(ctx); err != nil {
		t.Fatal(err)
	}
	defer shadow.Close()
	if got, err := shadow.Spans(ctx, "it's"); err != nil || !cmp.Equal(got, spans) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := shadow.Spans(ctx, "other"); err != nil || len(got) != 0 {
		t.Errorf("another topic has %v, %v", got, err)
	}
}

// An engine that is killed again and again while days are taken over leaves nothing half done for good.
func TestShadowSurvivesKills(t *testing.T) {
	own := testenv.StartOwnEngine(t, "")
	u, err := url.Parse(own.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/killed"
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = u.String()
	s := startShadowed(t, openWith(t, cfg))
	s.damage(t)
	ctx := context.Background()
	until := func(what string, kill bool, step func() error) {
		t.Helper()
		if kill {
			go own.Kill()
		}
		eventually(t, what, func() bool {
			err := step()
			if err != nil && store.KindOf(err) != store.KindUnavailable {
				t.Fatalf("%s: %v", what, err)
			}
			return err == nil
		})
	}
	for range 2 {
		until("added", true, func() error { return s.shadow.Add(ctx, shadowDay) })
		until("replaced", true, func() error { return s.shadow.Replace(ctx, shadowDay) })
	}
	until("compared", false, func() error { _, err := s.shadow.Diff(ctx, shadowDay, 1); return err })
	if got := s.diff(t); len(got) != 1 || got[0].OnlyLive+got[0].OnlyShadow > 0 || got[0].Both != 200 {
		t.Errorf("got %+v", got)
	}
	if got := s.values(t); !cmp.Equal(got["a"], counting(100)) || !cmp.Equal(got["it's b"], counting(100)) {
		t.Errorf("readers see %v", got)
	}
}
