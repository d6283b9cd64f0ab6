package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

func startRows(r *Request) [][2]int64 {
	var rows [][2]int64
	for _, s := range r.Batch.Starts {
		rows = append(rows, [2]int64{s.TimeMs, s.StartMs})
	}
	return rows
}

func startsRequest(t *testing.T, points ...[2]int64) []byte {
	var ts writev2.TimeSeries
	for _, p := range points {
		ts.Samples = append(ts.Samples, writev2.Sample{Timestamp: p[0], StartTimestamp: p[1], Value: 1})
	}
	return newBuilderV2().add(ts, "__name__", "up").bytes(t)
}

func TestStartsOnlyWhereTheyChange(t *testing.T) {
	d := newDecoderOfAnyAge()
	type points = [][2]int64
	for i, tc := range []struct {
		points points
		commit bool
		want   points
	}{
		{points{{10, 0}, {20, 0}}, true, nil}, // plain samples pay nothing
		{points{{30, 5}, {40, 5}}, false, points{{30, 5}}},
		{points{{30, 5}, {40, 5}}, true, points{{30, 5}}}, // not written: said again
		{points{{50, 5}, {60, 5}}, true, nil},
		{points{{70, 65}, {80, 65}, {90, 85}}, true, points{{70, 65}, {90, 85}}},
		{points{{20, 5}}, true, points{{20, 5}}},             // older than the last row
		{points{{100, 0}, {110, 0}}, true, points{{100, 0}}}, // none from here on
	} {
		r := decode(t, d, V2, startsRequest(t, tc.points...))
		if diff := cmp.Diff([][2]int64(tc.want), startRows(r)); diff != "" {
			t.Errorf("request %d: want -, got +\n%s", i, diff)
		}
		if tc.commit {
			r.Commit()
		}
	}
}

// TestForgottenSeries: what was written of a series but its samples is written again when it was erased.
func TestForgottenSeries(t *testing.T) {
	d := newDecoderOfAnyAge()
	decode(t, d, V2, startsRequest(t, [2]int64{10, 5})).Commit()
	r := decode(t, d, V2, startsRequest(t, [2]int64{20, 5}))
	if len(r.Batch.Starts) > 0 {
		t.Errorf("known: %v", r.Batch.Starts)
	}
	d.cache.Forget(r.Batch.Series[0].Key)
	if diff := cmp.Diff([][2]int64{{30, 5}}, startRows(decode(t, d, V2, startsRequest(t, [2]int64{30, 5})))); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// TestStartsOf10 checks that a series that changes to 1.0 has no start from there on, and that a series that was
// never sent by 2.0 has no rows.
func TestStartsOf10(t *testing.T) {
	d := newDecoderOfAnyAge()
	decode(t, d, V2, startsRequest(t, [2]int64{10, 5})).Commit()
	r := decode(t, d, V1, requestV1(t, floatV1(20, 1, "__name__", "up"), floatV1(20, 1, "__name__", "down")))
	if diff := cmp.Diff([][2]int64{{20, 0}}, startRows(r)); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// TestStartPositions sends a start in each of the three places that it has had in 2.0.
func TestStartPositions(t *testing.T) {
	field := func(num int, msg []byte) []byte {
		var e encoder
		e.bytes(num, msg)
		return e.buf
	}
	var sample, sampleWithStart, hist, histWithStart, created encoder
	sample.varint(sampleTime, 100)
	sampleWithStart.varint(sampleTime, 100)
	sampleWithStart.varint(sampleStart, 7)
	hist.varint(histTime, 100)
	histWithStart.varint(histTime, 100)
	histWithStart.varint(histStart, 7)
	created.varint(v2SeriesCreated, 9)
	refs := field(v2SeriesRefs, []byte{1, 2})
	for name, tc := range map[string]struct {
		fields [][]byte
		want   [][2]int64
	}{
		"sample":                           {[][]byte{field(v2SeriesSamples, sampleWithStart.buf)}, [][2]int64{{100, 7}}},
		"histogram":                        {[][]byte{field(v2SeriesHistograms, histWithStart.buf)}, [][2]int64{{100, 7}}},
		"series, of a sample":              {[][]byte{field(v2SeriesSamples, sample.buf), created.buf}, [][2]int64{{100, 9}}},
		"series, of a histogram":           {[][]byte{field(v2SeriesHistograms, hist.buf), created.buf}, [][2]int64{{100, 9}}},
		"both, and the sample's own wins":  {[][]byte{created.buf, field(v2SeriesSamples, sampleWithStart.buf)}, [][2]int64{{100, 7}}},
		"neither":                          {[][]byte{field(v2SeriesSamples, sample.buf)}, nil},
		"field 6 of another type is no ts": {[][]byte{field(v2SeriesCreated, []byte("x")), field(v2SeriesSamples, sample.buf)}, nil},
	} {
		msg := refs
		for _, f := range tc.fields {
			msg = append(msg[:len(msg):len(msg)], f...)
		}
		var req encoder
		for _, s := range []string{"", "__name__", "up"} {
			req.string(v2RequestSymbols, s)
		}
		req.bytes(v2RequestTimeseries, msg)
		r := decode(t, newDecoderOfAnyAge(), V2, req.buf)
		if diff := cmp.Diff(tc.want, startRows(r)); diff != "" || r.Rejected.Total() > 0 {
			t.Errorf("%s: want -, got +\n%s%s", name, diff, r.Rejected.String())
		}
	}
}

// TestReadersSeeTheStartsThatWereSent sends series in order, with late points among those of the newest start and
// with writes that fail, and reads the rows as a reader does.
func TestReadersSeeTheStartsThatWereSent(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		d := newDecoderOfAnyAge()
		sent := map[int64]int64{}
		rows := map[int64]int64{}
		timeMs, startMs, lastRow := int64(1000), int64(0), int64(0)
		for range 20 {
			var points [][2]int64
			for range 1 + rnd.IntN(4) {
				timeMs += 10 + int64(rnd.IntN(10))
				if rnd.IntN(4) == 0 {
					startMs = timeMs - int64(rnd.IntN(10))
				}
				points = append(points, [2]int64{timeMs, startMs})
			}
			if late := timeMs - 5; rnd.IntN(4) == 0 && late > lastRow && lastRow > 0 && len(points) > 0 && points[len(points)-1][1] == startMs {
				points = append(points, [2]int64{late, 3})
			}
			body := startsRequest(t, points...)
			r := decode(t, d, V2, body)
			if rnd.IntN(4) == 0 {
				r = decode(t, d, V2, body) // the first attempt failed
			}
			for _, p := range points {
				sent[p[0]] = p[1]
			}
			for _, s := range r.Batch.Starts {
				rows[s.TimeMs] = s.StartMs
				lastRow = max(lastRow, s.TimeMs)
			}
			r.Commit()
		}
		for at, want := range sent {
			if got := startAt(rows, at); got != want {
				t.Fatalf("seed %d: the point at %d has the start %d, sent was %d; rows %v", seed, at, got, want, rows)
			}
		}
	}
}

func startAt(rows map[int64]int64, at int64) int64 {
	latest, start := int64(-1), int64(0)
	for ms, s := range rows {
		if ms <= at && ms > latest {
			latest, start = ms, s
		}
	}
	return start
}

// TestRememberKeepsTheNewest commits the requests of one series in the wrong order.
func TestRememberKeepsTheNewest(t *testing.T) {
	d := newDecoderOfAnyAge()
	decode(t, d, V2, startsRequest(t, [2]int64{10, 5})).Commit()
	older := decode(t, d, V2, startsRequest(t, [2]int64{20, 15}))
	newer := decode(t, d, V2, startsRequest(t, [2]int64{30, 25}))
	newer.Commit()
	older.Commit()
	r := decode(t, d, V2, startsRequest(t, [2]int64{40, 25}))
	if len(r.Batch.Starts) != 0 {
		t.Errorf("got %v", r.Batch.Starts)
	}
}
