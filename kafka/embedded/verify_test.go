package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func verify(t *testing.T, dir string) *Report {
	t.Helper()
	before := contents(t, dir)
	r, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("verifying changed the folder: -before +after\n%s", diff)
	}
	return r
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func TestVerifyAGoodLog(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, 500)
	if _, err := Verify(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("an open folder: got %v", err)
	}
	commitAll(t, l, "g", 7)
	closeLog(t, l)
	r := verify(t, dir)
	if r.Corrupt() || len(r.Segments) != len(segmentFiles(t, dir)) || len(r.Segments) < 2 {
		t.Fatalf("got %+v", r)
	}
	records, next := 0, make([]int64, 4)
	for _, s := range r.Segments {
		records += s.Records
		if s.Topic != topic || s.TornBytes != 0 || len(s.Damage) != 0 {
			t.Errorf("got %+v", s)
		}
		for _, o := range s.Offsets {
			if o.From != next[o.Partition] {
				t.Errorf("%s: partition %d begins with %d, want %d", s.Path, o.Partition, o.From, next[o.Partition])
			}
			next[o.Partition] = o.To
		}
	}
	if records != 4*500 || !slices.Equal(next, []int64{500, 500, 500, 500}) || r.Committed["g"][3] != 7 {
		t.Errorf("%d records, next offsets %v, committed %v", records, next, r.Committed)
	}
	if _, err := Verify(t.TempDir()); err == nil {
		t.Error("an empty folder is verified")
	}
}

// TestVerifyAgreesWithOpen flips bytes of a log and cuts it at them: what Verify calls corrupt is what Open
// refuses, and what it calls torn is what Open cuts off.
func TestVerifyAgreesWithOpen(t *testing.T) {
	name, data := written(t, 3)
	for at := 0; at < len(data); at += 3 {
		flipped := slices.Clone(data)
		flipped[at] ^= 0x10
		for what, broken := range map[string][]byte{"flipped": flipped, "cut": data[:at]} {
			dir := placeSegment(t, name, broken)
			r := verify(t, dir)
			l, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4})
			if r.Corrupt() != (err != nil) {
				t.Fatalf("%s at %d: Open says %v, Verify %+v", what, at, err, r)
			}
			if err != nil {
				continue
			}
			cut := l.segments[0].size
			if s := r.Segments[0]; s.TornBytes > 0 && s.Bytes-s.TornBytes != cut && at >= len(segmentHeader(topic, make([]int64, 4))) {
				t.Fatalf("%s at %d: Open cut at %d, Verify says %+v", what, at, cut, s)
			}
			closeLog(t, l)
		}
	}
}

func TestVerifyFindsTheDamageAndWhatIsMissing(t *testing.T) {
	name, data := written(t, 4)
	_, one := written(t, 1)
	_, two := written(t, 2)
	broken := slices.Clone(data)
	broken[len(one)+50] ^= 1 // the first record of the second group, which is of partition 0
	r := verify(t, placeSegment(t, name, broken))
	s := r.Segments[0]
	if !r.Corrupt() || len(s.Damage) != 1 || s.Damage[0].Byte != int64(len(one)) || s.Damage[0].Bytes != int64(len(two)-len(one))/4 {
		t.Errorf("got %+v", s)
	}
	if diff := cmp.Diff([]OffsetRange{{0, 1, 2}}, r.Missing); diff != "" {
		t.Errorf("missing: want -, got +\n%s", diff)
	}
	if s.Records != 15 {
		t.Errorf("%d records are intact, want 15", s.Records)
	}
}

func TestVerifyMissesASegment(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, 900)
	closeLog(t, l)
	if err := os.Remove(segmentFiles(t, dir)[1]); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); !r.Corrupt() || len(r.Missing) == 0 {
		t.Errorf("got %+v", r)
	}
}
