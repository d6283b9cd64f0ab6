package storetest

import "fmt"

var startCases = []testCase{
	{"a start holds until the next", startsHold},
	{"the start before the selection is in force", startBefore},
	{"a start of 0 ends the one before", startEnds},
	{"of two starts at one time the greater is seen", startsEqualTimes},
	{"starts that come late and twice", startsLate},
	{"a series without starts has none", noStarts},
}

func startsHold(f *fixture) {
	b := f.batch()
	for i := int64(0); i < 5; i++ {
		b.sample(metric("m"), baseMs+i, float64(i)).histogram(metric("h"), baseMs+i, intHistogram(1))
	}
	b.start(metric("m"), baseMs+1, 10).start(metric("m"), baseMs+3, -30).start(metric("h"), baseMs+2, 20)
	f.write(b)
	h := formatInt(intHistogram(1))
	f.expect(f.all(),
		fmt.Sprintf(`{__name__="h"} %d=%s %d=%s %d=%s@20 %d=%s@20 %d=%s@20`, baseMs, h, baseMs+1, h, baseMs+2, h, baseMs+3, h, baseMs+4, h),
		fmt.Sprintf(`{__name__="m"} %d=0 %d=1@10 %d=2@10 %d=3@-30 %d=4@-30`, baseMs, baseMs+1, baseMs+2, baseMs+3, baseMs+4))
}

func startBefore(f *fixture) {
	b := f.batch().start(metric("m"), baseMs, 1).start(metric("m"), baseMs+hourMs, 2)
	b.sample(metric("m"), baseMs, 1).sample(metric("m"), baseMs+hourMs, 2).sample(metric("m"), baseMs+3*dayMs, 3)
	f.write(b)
	f.expect(f.between(baseMs+3*dayMs, baseMs+3*dayMs), fmt.Sprintf(`{__name__="m"} %d=3@2`, baseMs+3*dayMs))
	f.expect(f.between(baseMs+hourMs, baseMs+hourMs), fmt.Sprintf(`{__name__="m"} %d=2@2`, baseMs+hourMs))
	f.expect(f.between(baseMs, baseMs+1), fmt.Sprintf(`{__name__="m"} %d=1@1`, baseMs))
	for _, at := range []int64{baseMs + hourMs, baseMs + 3*dayMs} {
		if starts := f.read(f.between(at, at))[0].Starts; len(starts) != 1 {
			f.Errorf("%d starts at %d; wanted the one in force", len(starts), at)
		}
	}
}

func startEnds(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).sample(metric("m"), baseMs+1, 2).start(metric("m"), baseMs, 7).start(metric("m"), baseMs+1, 0))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1@7 %d=2`, baseMs, baseMs+1))
}

func startsEqualTimes(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).start(metric("m"), baseMs, 9))
	f.write(f.batch().start(metric("m"), baseMs, 8))
	f.write(f.batch().start(metric("m"), baseMs, 11).start(metric("m"), baseMs, 10))
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1@11`, baseMs))
}

func startsLate(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).sample(metric("m"), baseMs+1, 2).start(metric("m"), baseMs+1, 6))
	for range 2 {
		f.write(f.batch().start(metric("m"), baseMs-1, 5))
	}
	f.expect(f.all(), fmt.Sprintf(`{__name__="m"} %d=1@5 %d=2@6`, baseMs, baseMs+1))
}

func noStarts(f *fixture) {
	f.write(f.batch().sample(metric("m"), baseMs, 1).sample(metric("n"), baseMs, 1).start(metric("n"), baseMs, 5))
	for _, d := range f.read(f.all()) {
		if d.Labels.Get("__name__") == "m" && len(d.Starts) != 0 {
			f.Errorf("series m has %v", d.Starts)
		}
	}
}
