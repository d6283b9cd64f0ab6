package clickhouse

import (
	"math"
	"testing"

	"github.com/metricstream/metricstream/store/retention"
)

// TestSamplesOfSeveralClasses are all there from the oldest on of which nothing behind it is gone.
func TestSamplesOfSeveralClasses(t *testing.T) {
	always := int64(math.MinInt64)
	over := [3]bool{true, true, true}
	for name, c := range map[string]struct {
		history []retention.Past
		of      map[uint8]int64
		want    int64
	}{
		"one class":                         {[]retention.Past{{Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{0: 100}, 100},
		"one class without anything":        {[]retention.Past{{Class: 0, SinceMs: always, Over: over}}, nil, nothing},
		"changed just now":                  {[]retention.Past{{Class: 3, SinceMs: 200}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{0: 100}, 100},
		"changed, and late samples":         {[]retention.Past{{Class: 3, SinceMs: 200}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 50, 0: 100}, 100},
		"changed, and a pause":              {[]retention.Past{{Class: 3, SinceMs: 200}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 250, 0: 100}, 100},
		"the old class is dropped":          {[]retention.Past{{Class: 3, SinceMs: 200}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 190, 0: 300}, 200},
		"the new class loses its beginning": {[]retention.Past{{Class: 3, SinceMs: 200, Over: over}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 250, 0: 100}, 250},
		"there and back":                    {[]retention.Past{{Class: 0, SinceMs: 300}, {Class: 3, SinceMs: 200}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 180, 0: 100}, 100},
		"a short class in between":          {[]retention.Past{{Class: 0, SinceMs: 300}, {Class: 3, SinceMs: 200, Over: over}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{3: 280, 0: 100}, 280},
		"a class in between that is gone":   {[]retention.Past{{Class: 0, SinceMs: 300}, {Class: 3, SinceMs: 200, Over: over}, {Class: 0, SinceMs: always, Over: over}}, map[uint8]int64{0: 100}, 300},
	} {
		got := joined(c.history, func(class uint8) [3]int64 {
			at, ok := c.of[class]
			if !ok {
				at = nothing
			}
			return [3]int64{at, at, at}
		})
		if want := [3]int64{c.want, c.want, c.want}; got != want {
			t.Errorf("%s: got %v, want %d", name, got, c.want)
		}
	}
}
