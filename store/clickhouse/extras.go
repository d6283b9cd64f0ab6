package clickhouse

import (
	"bytes"
	"context"

	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

// extras are what series may have beside float samples: few or nothing in most selections. Points are in order
// of time.
type extras struct {
	histograms map[store.Key][]store.HistogramPoint
	starts     map[store.Key][]store.StartPoint
}

// pendingExtras are extras that are being read while the samples are.
type pendingExtras struct {
	done   chan struct{}
	extras *extras
	err    error
}

func (p *pendingExtras) wait() (*extras, error) {
	<-p.done
	return p.extras, p.err
}

// startExtras begins to read what the series have beside samples; the caller has to wait until done is closed.
func (s *Store) startExtras(ctx context.Context, found []foundSeries, p sqlgen.Points, maxSamples int) *pendingExtras {
	pending := &pendingExtras{done: make(chan struct{})}
	go func() {
		defer close(pending.done)
		pending.extras, pending.err = s.readExtras(ctx, found, p, maxSamples)
	}()
	return pending
}

// readExtras asks for nothing that no series has: most have float samples alone.
func (s *Store) readExtras(ctx context.Context, found []foundSeries, p sqlgen.Points, maxSamples int) (*extras, error) {
	e := &extras{histograms: map[store.Key][]store.HistogramPoint{}, starts: map[store.Key][]store.StartPoint{}}
	group, ctx := errgroup.WithContext(ctx)
	histograms, starts := p, p
	histograms.Keys, starts.Keys = keysWith(found, store.HasHistograms), keysWith(found, store.HasStarts)
	if len(histograms.Keys) > 0 {
		group.Go(func() error { return s.readHistograms(ctx, histograms, maxSamples, e) })
	}
	if len(starts.Keys) > 0 {
		group.Go(func() error { return s.readStarts(ctx, starts, e) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return e, nil
}

func (s *Store) readHistograms(ctx context.Context, p sqlgen.Points, maxSamples int, e *extras) error {
	var metrics proto.ColUInt32
	var ids proto.ColUInt64
	var times proto.ColInt64
	var blobs proto.ColStr
	q := withKeys(p)
	q.Result = proto.Results{{Name: "metric", Data: &metrics}, {Name: "id", Data: &ids}, {Name: "ts", Data: &times}, {Name: "blob", Data: &blobs}}
	var last []byte // the blob of the last point
	total := 0
	return s.queryOn(ctx, s.besides, "histograms", p.Histograms(), q, func(rows int) error {
		for i := range rows {
			k := store.Key{Metric: metrics[i], ID: ids[i]}
			before := len(e.histograms[k])
			var err error
			if e.histograms[k], last, err = appendHistogram(e.histograms[k], last, times[i], blobs.RowBytes(i)); err != nil {
				return err
			}
			if total += len(e.histograms[k]) - before; maxSamples > 0 && total > maxSamples {
				return samplesLimit(s.metrics.limits, maxSamples)
			}
		}
		return nil
	})
}

// appendHistogram adds a row to a series' points, of which last is the blob of the newest. Of the rows of one time the one
// that readers see stays.
func appendHistogram(points []store.HistogramPoint, last []byte, timeMs int64, blob []byte) ([]store.HistogramPoint, []byte, error) {
	point := store.HistogramPoint{TimeMs: timeMs}
	var err error
	if point.Int, point.Float, err = store.DecodeHistogram(blob); err != nil {
		return points, last, err
	}
	if n := len(points); n > 0 && points[n-1].TimeMs == timeMs {
		if !preferHistogram(points[n-1], last, point, blob) {
			return points, last, nil
		}
		points = points[:n-1]
	}
	return append(points, point), append(last[:0], blob...), nil
}

// preferHistogram reports whether, of two histograms of one series at one time, b is the one that readers see:
// one that is not a stale marker, else the one of the greater count, else of the greater encoding.
func preferHistogram(a store.HistogramPoint, blobA []byte, b store.HistogramPoint, blobB []byte) bool {
	if sa, sb := staleHistogram(a), staleHistogram(b); sa != sb {
		return sa
	}
	if ca, cb := countOf(a), countOf(b); ca != cb {
		return store.Prefer(ca, cb)
	}
	return bytes.Compare(blobA, blobB) < 0
}

func countOf(p store.HistogramPoint) float64 {
	if p.Int != nil {
		return float64(p.Int.Count)
	}
	return p.Float.Count
}

func (s *Store) readStarts(ctx context.Context, p sqlgen.Points, e *extras) error {
	var metrics proto.ColUInt32
	var ids proto.ColUInt64
	var times, starts proto.ColInt64
	q := withKeys(p)
	q.Result = proto.Results{{Name: "metric", Data: &metrics}, {Name: "id", Data: &ids}, {Name: "ts", Data: &times}, {Name: "start", Data: &starts}}
	return s.queryOn(ctx, s.besides, "starts", p.Starts(), q, func(rows int) error {
		for i := range rows {
			k := store.Key{Metric: metrics[i], ID: ids[i]}
			e.starts[k] = appendStart(e.starts[k], store.StartPoint{TimeMs: times[i], StartMs: starts[i]}, p.MinMs)
		}
		return nil
	})
}

// appendStart adds a row to a series' starts. Of two at one time the later one holds; of those before the selection, which
// begins at minMs, the last.
func appendStart(points []store.StartPoint, point store.StartPoint, minMs int64) []store.StartPoint {
	if n := len(points); n > 0 && (points[n-1].TimeMs == point.TimeMs || point.TimeMs <= minMs) {
		points = points[:n-1]
	}
	return append(points, point)
}
