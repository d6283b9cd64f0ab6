package codec

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/prompb"
)

func manySeries(t testing.TB, from, n int) []byte {
	var series []prompb.TimeSeries
	for i := range n {
		series = append(series, floatV1(testNowMs, 1, "__name__", "up", "i", fmt.Sprint(from+i)))
	}
	return requestV1(t, series...)
}

func TestCacheIsBounded(t *testing.T) {
	d := NewDecoder(testLimits(), NewCache(160, 3600_000))
	for from := range 10 {
		r := decode(t, d, V1, manySeries(t, 200*from, 200))
		if r.Accepted.Samples != 200 {
			t.Fatalf("accepted %d", r.Accepted.Samples)
		}
	}
	st := d.cache.Stats()
	if st.Series > 160 || st.Series < 100 || st.Full == 0 || st.Misses != 2000 {
		t.Errorf("got %+v", st)
	}
}

func TestCacheForgetsIdleSeries(t *testing.T) {
	const idle = 60_000
	d := NewDecoder(testLimits(), NewCache(10_000, idle))
	busy := manySeries(t, 0, 100)
	var r Request
	if err := d.Decode(&r, V1, testTenant, manySeries(t, 100, 400), testNowMs); err != nil {
		t.Fatal(err)
	}
	for ms := int64(0); ms < 4*idle; ms += 500 {
		if err := d.Decode(&r, V1, testTenant, busy, testNowMs+ms); err != nil {
			t.Fatal(err)
		}
	}
	st := d.cache.Stats()
	if st.Series != 100 || st.Evicted != 400 || st.Misses != 500 {
		t.Errorf("got %+v", st)
	}
}

func TestSteadyStateMissesNothing(t *testing.T) {
	for _, v := range versions {
		d := newDecoder()
		g := newGenerator(3, v)
		g.tame = true
		body := g.request()
		decode(t, d, v, body)
		before := d.cache.Stats().Misses
		decode(t, d, v, body)
		if got := d.cache.Stats().Misses; got != before || before == 0 {
			t.Errorf("v%d: %d misses, then %d", v, before, got)
		}
	}
}

// TestConcurrentRequests is for the race detector: the same new and old series from many senders, with sweeps.
func TestConcurrentRequests(t *testing.T) {
	d := NewDecoder(testLimits(), NewCache(10_000, 1000))
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			var r Request
			for i := range 50 {
				v := versions[i%2]
				body := newGenerator(uint64(i), v).request()
				if err := d.Decode(&r, v, testTenant, body, testNowMs+int64(100*i+worker)); err != nil {
					t.Error(err)
					return
				}
				for _, s := range r.Batch.Series {
					if s.Tenant != testTenant || s.Key.ID == 0 {
						t.Errorf("got %+v", s)
					}
				}
				r.Commit()
			}
		})
	}
	wg.Wait()
}

// TestAFullCacheMakesRoomSooner fills the cache with series that are never seen again.
func TestAFullCacheMakesRoomSooner(t *testing.T) {
	const idle = 400_000
	d := NewDecoder(testLimits(), NewCache(160, idle))
	busy := manySeries(t, 1000, 50)
	decode(t, d, V1, manySeries(t, 0, 1000))
	var r Request
	for ms := int64(0); ms < idle*3/4; ms += 1000 {
		if err := d.Decode(&r, V1, testTenant, busy, testNowMs+ms); err != nil {
			t.Fatal(err)
		}
	}
	before := d.cache.Stats()
	if before.Evicted < 100 {
		t.Errorf("got %+v", before)
	}
	if err := d.Decode(&r, V1, testTenant, busy, testNowMs+idle*3/4); err != nil {
		t.Fatal(err)
	}
	if after := d.cache.Stats(); after.Misses != before.Misses {
		t.Errorf("%d misses after the room was made", after.Misses-before.Misses)
	}
}

// TestALargeRequestDoesNotSlowSmallOnes checks that the memory cleared for each request follows the requests.
func TestALargeRequestDoesNotSlowSmallOnes(t *testing.T) {
	d := newDecoder()
	var r Request
	large, small := manySeries(t, 0, 5000), manySeries(t, 0, 3)
	for i := range 12 {
		body := small
		if i == 0 {
			body = large
		}
		if err := d.Decode(&r, V1, testTenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.index) > minIndex || len(r.Batch.Series) != 3 {
		t.Errorf("%d index slots for %d series", len(r.index), len(r.Batch.Series))
	}
}
