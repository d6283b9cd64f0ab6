package clickhouse_test

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/breaker"
	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse"
)

// TestReadsLeaveADeadServerAlone: reads of a server that is away fail without asking it after a few tries, and find it
// again. Limits and readers who stop are no failures of the server.
func TestReadsLeaveADeadServerAlone(t *testing.T) {
	own := testenv.StartOwnEngine(t, "")
	reads := breaker.New("ClickHouse", breaker.Options{
		Failure: clickhouse.Unreachable, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	cfg := clickhouse.DefaultConfig()
	cfg.DSN = own.DSN()
	s, err := clickhouse.Open(t.Context(), cfg, clickhouse.Options{Reads: reads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	write(t, s, batchOf("t", 1, labels.FromStrings("__name__", "m", "a", "1"), labels.FromStrings("__name__", "m", "a", "2")))
	all := everything("t", equal("__name__", "m"))
	read := func(sel store.Selection, answer error) error {
		return s.Select(t.Context(), sel, func(*store.SeriesData) error { return answer })
	}
	limited := all
	limited.MaxSamples = 1
	for range 10 {
		if err := read(limited, nil); store.KindOf(err) != store.KindLimit {
			t.Fatal(err)
		}
		if err := read(all, io.EOF); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if got := reads.Status(); got.State != "closed" || got.LastError != "" {
		t.Fatalf("%+v", got)
	}
	own.Kill()
	var open *breaker.Open
	eventually(t, "the server is left alone", func() bool {
		err := read(all, nil)
		if store.KindOf(err) != store.KindUnavailable {
			t.Fatal(err)
		}
		return errors.As(err, &open)
	})
	eventually(t, "the server is read again", func() bool { return read(all, nil) == nil })
	if got := reads.Status(); got.State != "closed" || got.LastError == "" {
		t.Errorf("%+v", got)
	}
}
