package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// writer sends one sample after the other of series of its own and remembers which were answered with 2xx.
type writer struct {
	id     int
	nextMs int64
	acked  map[int64]float64 // value by time in ms
	sent   map[int64]float64
}

const seriesPerWriter = 50

// send writes one sample of each of the writer's series, all with the same time and value, and tells whether it
// was acknowledged.
func (w *writer) send(url string) bool {
	ts, value := w.nextMs, float64(w.nextMs%1000)+0.25
	w.nextMs += 1000
	w.sent[ts] = value
	ok := postSamples(url, "", ts, value, seriesPerWriter, map[string]string{"__name__": "kill_test", "writer": strconv.Itoa(w.id)}) == http.StatusNoContent
	if ok {
		w.acked[ts] = value
	}
	return ok
}

// postSamples sends one sample of n series by Remote Write 1.0 and returns the status, 0 for no answer.
func postSamples(url, tenant string, ts int64, value float64, n int, labels map[string]string) int {
	code, _ := writeSamples(url, tenant, ts, value, n, labels)
	return code
}

// writeSamples is postSamples with the headers of the answer.
func writeSamples(url, tenant string, ts int64, value float64, n int, labels map[string]string) (int, http.Header) {
	var req prompb.WriteRequest
	for i := range n {
		s := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: ts, Value: value}}}
		for name, v := range labels {
			s.Labels = append(s.Labels, prompb.Label{Name: name, Value: v})
		}
		s.Labels = append(s.Labels, prompb.Label{Name: "i", Value: strconv.Itoa(i)})
		req.Timeseries = append(req.Timeseries, s)
	}
	raw, err := req.Marshal()
	if err != nil {
		return 0, nil
	}
	r, err := http.NewRequest(http.MethodPost, url+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	if tenant != "" {
		r.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// verify checks that every acknowledged sample is there, exactly once, and nothing that was not sent.
func (w *writer) verify(t *testing.T, url string) {
	t.Helper()
	expr := fmt.Sprintf(`kill_test{writer="%d"}[2h]`, w.id)
	eventually(t, time.Minute, "acknowledged samples of writer "+strconv.Itoa(w.id), func() error {
		got, err := instant(url, expr, float64(w.nextMs)/1000)
		if err != nil {
			return err
		}
		if len(got.series) != seriesPerWriter {
			return fmt.Errorf("%d series, want %d", len(got.series), seriesPerWriter)
		}
		for _, s := range got.series {
			if err := w.check(s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) check(s series) error {
	seen := map[int64]bool{}
	for _, p := range s.points {
		ts := int64(p.time*1000 + 0.5)
		if seen[ts] {
			return fmt.Errorf("%s: twice at %d", s.labels, ts)
		}
		seen[ts] = true
		if want, ok := w.sent[ts]; !ok || p.value != strconv.FormatFloat(want, 'f', -1, 64) {
			return fmt.Errorf("%s: %s at %d, sent was %v", s.labels, p.value, ts, want)
		}
	}
	for ts := range w.acked {
		if !seen[ts] {
			return fmt.Errorf("%s: the sample at %d was acknowledged and is not there (%d of %d are)", s.labels, ts, len(seen), len(w.acked))
		}
	}
	return nil
}

// TestKillNine kills the whole process group in the middle of writing, several times over one data folder.
func TestKillNine(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	begin := time.Now().Add(-time.Hour).UnixMilli()
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{id: i, nextMs: begin, acked: map[int64]float64{}, sent: map[int64]float64{}}
	}
	var n *node
	for range 4 {
		n = start(t, "all", data)
		writeUntilKilled(writers, n)
	}
	n = start(t, "all", data)
	total := 0
	for _, w := range writers {
		w.verify(t, n.url)
		total += len(w.acked)
	}
	if total < 100 {
		t.Errorf("only %d requests were acknowledged in all: too few to say anything", total)
	}
	t.Logf("%d requests of %d samples acknowledged around 4 kills, all there", total, seriesPerWriter)
}

// writeUntilKilled lets all writers write and kills the node after one to three seconds.
func writeUntilKilled(writers []*writer, n *node) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !w.send(n.url) {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	time.Sleep(time.Second + time.Duration(rand.IntN(2000))*time.Millisecond)
	n.Kill()
	close(stop)
	wg.Wait()
}

// TestInterruptLosesNothing stops the process as Ctrl-C does, right after an acknowledgement.
func TestInterruptLosesNothing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	w := &writer{nextMs: time.Now().Add(-time.Hour).UnixMilli(), acked: map[int64]float64{}, sent: map[int64]float64{}}
	n := start(t, "all", data)
	for range 20 {
		if !w.send(n.url) {
			t.Fatal("a write was not acknowledged")
		}
	}
	if err := n.Interrupt(); err != nil {
		t.Fatalf("the process did not end by itself: %v", err)
	}
	n = start(t, "all", data)
	w.verify(t, n.url)
}
