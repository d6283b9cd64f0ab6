package rollup

import "testing"

func TestBucketsAreClosedOnTheRight(t *testing.T) {
	for at, want := range map[int64]int64{0: 0, 1: 60_000, 59_999: 60_000, 60_000: 60_000, 60_001: 120_000, -1: 0, -60_000: -60_000, -60_001: -60_000} {
		if got := EndMs(at, Minute.StepMs()); got != want {
			t.Errorf("EndMs(%d) = %d, want %d", at, got, want)
		}
	}
}
