package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// written makes a log of one segment with groups of 4 records and returns the segment's bytes.
func written(t *testing.T, groups int) (name string, data []byte) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, groups)
	closeLog(t, l)
	files := segmentFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("%d segments, want 1", len(files))
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(files[0]), data
}

// place puts a segment into a new folder.
func placeSegment(t *testing.T, name string, data []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	name, data := written(t, 3)
	_, two := written(t, 2)
	for cut := len(two); cut < len(data); cut++ {
		for what, tail := range map[string][]byte{"missing": nil, "zeros": make([]byte, len(data)-cut)} {
			if cut%4 != 0 && tail != nil {
				continue
			}
			dir := placeSegment(t, name, append(append([]byte{}, data[:cut]...), tail...))
			l := open(t, dir, testConfig())
			for p := range int32(4) {
				if n := len(values(t, l, p)); n < 2 || n > 3 {
					t.Fatalf("cut at %d, rest %s: partition %d has %d records", cut, what, p, n)
				}
			}
			if cut%16 != 0 {
				closeLog(t, l)
				continue
			}
			// The log goes on behind the cut.
			if _, _, err := l.Producer().SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("more")}); err != nil {
				t.Fatal(err)
			}
			closeLog(t, l)
			l = open(t, dir, testConfig())
			if all := values(t, l, 0); all[len(all)-1] != "more" {
				t.Fatalf("cut at %d, rest %s: partition 0 has %q", cut, what, all)
			}
			closeLog(t, l)
		}
	}
}

func TestATornGroupIsCutThoughItsEndIsThere(t *testing.T) {
	name, data := written(t, 3)
	_, two := written(t, 2)
	data = append([]byte{}, data...)
	data[len(two)+20] ^= 1 // the last group's first record; pages reach the disk in any order
	l := open(t, placeSegment(t, name, data), testConfig())
	checkValues(t, l, 2)
}

func TestDamageInTheMiddleIsReported(t *testing.T) {
	name, data := written(t, 3)
	_, one := written(t, 1)
	_, two := written(t, 2)
	for at := len(one); at < len(two); at++ {
		broken := append([]byte{}, data...)
		broken[at] ^= 0x10
		dir := placeSegment(t, name, broken)
		_, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "at byte") {
			t.Fatalf("byte %d flipped: got %v, want an error with the place", at, err)
		}
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(after) != len(data) {
			t.Fatalf("byte %d flipped: the file has now %d bytes, %v", at, len(after), err)
		}
	}
}

func TestDamageInAnOlderSegmentIsReported(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, 500)
	closeLog(t, l)
	first := segmentFiles(t, dir)[0]
	info, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(first, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4}); err == nil || !strings.Contains(err.Error(), first) {
		t.Errorf("got %v, want an error that names %s", err, first)
	}
	// An operator who gives the segment up goes on with the rest.
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, testConfig())
	got := values(t, l, 1)
	if len(got) == 0 || got[len(got)-1] != value(1, 499) {
		t.Errorf("%d records are left", len(got))
	}
	oldest, next := l.bounds(1)
	if next != 500 || oldest != 500-int64(len(got)) {
		t.Errorf("offsets are %d to %d with %d records", oldest, next, len(got))
	}
}

func TestDamageThatAppearsWhileOpenIsReported(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, 2)
	f, err := os.OpenFile(segmentFiles(t, dir)[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := l.segments[0].places[2][1]
	if _, err := f.WriteAt([]byte("X"), int64(at.pos+at.size-1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.read(2, 1); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "offset 1 of partition 2") {
		t.Errorf("got %v, want an error with the place", err)
	}
}

func TestASegmentThatWasNeverFinishedIsRemoved(t *testing.T) {
	name, data := written(t, 2)
	header := segmentHeader(topic, []int64{2, 2, 2, 2})
	for n := range header {
		dir := placeSegment(t, name, data)
		if err := os.WriteFile(segmentPath(dir, 2), header[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		l := open(t, dir, testConfig())
		checkValues(t, l, 2)
		put(t, l, 2, 1)
		checkValues(t, l, 3)
		closeLog(t, l)
	}
}

func TestOffsetsSurviveATornCommit(t *testing.T) {
	dir := t.TempDir()
	o, err := openOffsets(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{5, 6} {
		if err := o.commit("g", map[int32]int64{1: n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, offsetsName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if o, err = openOffsets(dir); err != nil {
			t.Fatal(err)
		}
		want := int64(-1)
		if cut >= len(data)/2 {
			want = 5
		}
		if got := o.committed("g", 1); got != want {
			t.Errorf("%d of %d bytes: committed %d, want %d", cut, len(data), got, want)
		}
		o.close()
	}
}

func TestOffsetsAreCompacted(t *testing.T) {
	dir := t.TempDir()
	o, err := openOffsets(dir)
	if err != nil {
		t.Fatal(err)
	}
	o.size = compactBytes // as if it had grown
	if err := o.commit("g", map[int32]int64{1: 7, 2: 8}); err != nil {
		t.Fatal(err)
	}
	if o.size > 100 {
		t.Errorf("the file has %d bytes", o.size)
	}
	if err := o.commit("g", map[int32]int64{1: 9}); err != nil {
		t.Fatal(err)
	}
	o.close()
	if o, err = openOffsets(dir); err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if o.committed("g", 1) != 9 || o.committed("g", 2) != 8 || o.committed("h", 1) != -1 {
		t.Errorf("got %v", o.all)
	}
}

func FuzzParse(f *testing.F) {
	m := &message{key: []byte("key"), value: []byte("value"), headers: []sarama.RecordHeader{{Key: []byte("a")}}}
	f.Add(appendFrame(nil, 0, 1, 2, m.at, m))
	f.Add(segmentHeader(topic, []int64{1, 2}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if fr, size, err := parseFrame(data); err == nil {
			if size > len(data) {
				t.Errorf("a frame of %d bytes in %d", size, len(data))
			}
			fr.message(topic)
		}
		parseSegmentHeader(data)
	})
}
