package embedded

import (
	"errors"
	"testing"
	"time"
)

// small is a log that is full soon and keeps nothing that is committed.
func small() Config {
	cfg := testConfig()
	cfg.MaxBytes = 2 * cfg.SegmentBytes
	cfg.RetentionAge = 0
	return cfg
}

// fill appends until the log refuses, and returns how many records each partition has.
func fill(t *testing.T, l *Log) int {
	t.Helper()
	for n := 0; n < 10_000; n++ {
		messages := make([]message, 4)
		for p := range messages {
			messages[p] = message{partition: int32(p), value: []byte(value(int32(p), n))}
		}
		if err := l.append(messages, 0); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the log takes everything")
	return 0
}

func commitAll(t *testing.T, l *Log, group string, offset int64) {
	t.Helper()
	if err := l.offsets.commit(group, map[int32]int64{0: offset, 1: offset, 2: offset, 3: offset}); err != nil {
		t.Fatal(err)
	}
}

func TestAFullLogRefusesRatherThanLoses(t *testing.T) {
	l := open(t, t.TempDir(), small())
	defer l.ConsumerGroup("g").Close()
	n := fill(t, l)
	checkValues(t, l, n)
	if size := l.size(); size > small().MaxBytes {
		t.Errorf("the log has %d bytes, allowed are %d", size, small().MaxBytes)
	}
	commitAll(t, l, "g", int64(n))
	put(t, l, n, 1)
	for p := range int32(4) {
		if got := values(t, l, p); got[len(got)-1] != value(p, n) {
			t.Errorf("partition %d ends with %q", p, got[len(got)-1])
		}
	}
}

func TestOnePartitionThatIsNotCommittedHoldsTheSegment(t *testing.T) {
	l := open(t, t.TempDir(), small())
	defer l.ConsumerGroup("g").Close()
	n := fill(t, l)
	if err := l.offsets.commit("g", map[int32]int64{0: int64(n), 1: int64(n), 2: int64(n)}); err != nil {
		t.Fatal(err)
	}
	fill(t, l)
	if got := values(t, l, 3); got[0] != value(3, 0) {
		t.Errorf("partition 3 begins with %q", got[0])
	}
}

func TestNothingIsDroppedBeforeThereIsAConsumer(t *testing.T) {
	l := open(t, t.TempDir(), small())
	checkValues(t, l, fill(t, l))
}

func TestAGroupThatIsNoLongerUsedHoldsNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, small())
	commitAll(t, l, "old", 1)
	n := fill(t, l)
	defer l.ConsumerGroup("new").Close()
	commitAll(t, l, "new", int64(n))
	put(t, l, n, 1)
}

func TestCommittedRecordsStayForTheirAge(t *testing.T) {
	cfg := small()
	cfg.RetentionAge = time.Hour
	cfg.MaxBytes = 100 * cfg.SegmentBytes
	dir := t.TempDir()
	l := open(t, dir, cfg)
	defer l.ConsumerGroup("g").Close()
	put(t, l, 0, 600)
	commitAll(t, l, "g", 600)
	before := len(segmentFiles(t, dir))
	put(t, l, 600, 600)
	if n := len(segmentFiles(t, dir)); n <= before {
		t.Errorf("%d segments, before there were %d", n, before)
	}
	for _, s := range l.segments[:before-1] {
		s.newest = s.newest.Add(-2 * time.Hour)
	}
	put(t, l, 1200, 600)
	if oldest, _ := l.bounds(0); oldest == 0 {
		t.Error("records of two hours ago are still there")
	}
}

// TestFewRecordsLeaveToo: a log that never fills a segment does not keep its records for ever, restarted or not.
func TestFewRecordsLeaveToo(t *testing.T) {
	cfg := small()
	cfg.RetentionAge = time.Hour
	dir := t.TempDir()
	l := open(t, dir, cfg)
	g := l.ConsumerGroup("g")
	put(t, l, 0, 3)
	put(t, l, 3, 3)
	if n := len(segmentFiles(t, dir)); n != 1 {
		t.Errorf("%d segments of young records", n)
	}
	commitAll(t, l, "g", 6)
	g.Close()
	closeLog(t, l)
	l = open(t, dir, cfg)
	defer l.ConsumerGroup("g").Close()
	if s := l.segments[0]; s.oldest.IsZero() || s.oldest.After(s.newest) {
		t.Errorf("after a restart the segment is of %v to %v", s.oldest, s.newest)
	}
	for _, s := range l.segments {
		s.oldest, s.newest = s.oldest.Add(-2*time.Hour), s.newest.Add(-2*time.Hour)
	}
	put(t, l, 6, 3)
	if oldest, _ := l.bounds(0); oldest != 6 {
		t.Errorf("the log begins with %d", oldest)
	}
}

func TestOffsetsGoOnWhenOldSegmentsAreGone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, small())
	g := l.ConsumerGroup("g")
	n := fill(t, l)
	commitAll(t, l, "g", int64(n))
	put(t, l, n, 1)
	g.Close()
	closeLog(t, l)
	l = open(t, dir, small())
	if _, next := l.bounds(2); next != int64(n)+1 {
		t.Errorf("the next offset is %d, want %d", next, n+1)
	}
	if oldest, _ := l.bounds(2); oldest == 0 {
		t.Error("nothing was dropped")
	}
}

func TestALogThatNobodyConsumesDropsTheOldest(t *testing.T) {
	l, err := Open(t.TempDir(), small(), Options{Topic: topic, Partitions: 1, Unconsumed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put(t, l, 0, 5000)
	got := values(t, l, 0)
	if got[len(got)-1] != value(0, 4999) || len(got) == 5000 {
		t.Errorf("%d records are left, the last is %q", len(got), got[len(got)-1])
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"segment_bytes": func(c *Config) { c.SegmentBytes = 5 },
		"retention_age": func(c *Config) { c.RetentionAge = -1 },
		"max_bytes":     func(c *Config) { c.MaxBytes = c.SegmentBytes },
	} {
		c := DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || err.Error()[:len(name)] != name {
			t.Errorf("got %v, want an error that begins with %s", err, name)
		}
	}
}
