package embedded

import (
	"os"
	"slices"
	"testing"

	"github.com/IBM/sarama"
)

func skipping() Config {
	c := testConfig()
	c.SkipCorrupt = true
	return c
}

// TestSkippingKeepsWhatIsIntact flips each byte of the second group's records: each time one record is lost, and
// the log goes on.
func TestSkippingKeepsWhatIsIntact(t *testing.T) {
	name, data := written(t, 4)
	_, one := written(t, 1)
	_, two := written(t, 2)
	size := (len(two) - len(one)) / 4
	for at := len(one); at < len(two); at++ {
		broken := slices.Clone(data)
		broken[at] ^= 0x10
		dir := placeSegment(t, name, broken)
		l := open(t, dir, skipping())
		put(t, l, 4, 1)
		for range 2 { // and again after a restart
			lost := int32((at - len(one)) / size)
			for p := range int32(4) {
				want := []string{value(p, 0), value(p, 1), value(p, 2), value(p, 3), value(p, 4)}
				if p == lost {
					want = slices.Delete(want, 1, 2)
				}
				if got := values(t, l, p); !slices.Equal(got, want) {
					t.Fatalf("byte %d flipped: partition %d has %q, want %q", at, p, got, want)
				}
				if oldest, next := l.bounds(p); oldest != 0 || next != 5 {
					t.Fatalf("byte %d flipped: partition %d has offsets %d to %d", at, p, oldest, next)
				}
			}
			if n := l.skipped(); n != int64(size) {
				t.Fatalf("byte %d flipped: %d bytes were passed over, want %d", at, n, size)
			}
			closeLog(t, l)
			l = open(t, dir, skipping())
		}
		closeLog(t, l)
	}
}

// TestSkippingAHeader loses nothing but the header, or the rest of a segment.
func TestSkippingAHeader(t *testing.T) {
	for what, damage := range map[string]func(data []byte) []byte{
		"header": func(data []byte) []byte { data[3] ^= 1; return data },
		"zeros":  func(data []byte) []byte { clear(data); return data },
		"empty":  func(data []byte) []byte { return nil },
	} {
		dir := t.TempDir()
		l := open(t, dir, testConfig())
		put(t, l, 0, 900)
		closeLog(t, l)
		files := segmentFiles(t, dir)
		data, err := os.ReadFile(files[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[1], damage(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4}); err == nil {
			t.Fatalf("%s: the log opens", what)
		}
		l = open(t, dir, skipping())
		for p := range int32(4) {
			got := values(t, l, p)
			if what == "header" && len(got) != 900 || len(got) < 100 || got[0] != value(p, 0) || got[len(got)-1] != value(p, 899) {
				t.Errorf("%s: partition %d has %d records", what, p, len(got))
			}
		}
		closeLog(t, l)
	}
}

// TestACommittedOffsetIsNotGivenAgain moves the only segment away: a consumer that has committed its records
// would never see others with their offsets.
func TestACommittedOffsetIsNotGivenAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	put(t, l, 0, 5)
	commitAll(t, l, "g", 5)
	closeLog(t, l)
	if err := os.Remove(segmentFiles(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, testConfig())
	defer closeLog(t, l)
	if got := values(t, l, 0); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	_, offset, err := l.Producer().SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("new")})
	if err != nil || offset != 5 {
		t.Errorf("the next record has the offset %d, %v", offset, err)
	}
	if m, _, err := l.read(0, 2); err != nil || m == nil || string(m.Value) != "new" {
		t.Errorf("reading on from what is gone: %v, %v", m, err)
	}
}
