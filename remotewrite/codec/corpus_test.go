package codec

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var writeCorpus = flag.Bool("write-corpus", false, "write the seed corpus of the fuzz tests anew")

// hostile are messages that promise more than they hold, or hold what no sender writes.
var hostile = map[string][]byte{
	"length_beyond_end":   {0x0a, 0xff, 0xff, 0xff, 0xff, 0x07},
	"length_2_64":         {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	"varint_too_long":     {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	"field_zero":          {0x02, 0x00},
	"end_group":           {0x0c},
	"open_groups":         {0x4b, 0x4b, 0x4b, 0x4b},
	"wire_type_6":         {0x0e},
	"wire_type_of_series": {0x08, 0x01},
	"empty_series":        {0x0a, 0x00},
	"v2_wrong_wire_type":  {0x22, 0x00, 0x28, 0x01},
	"v2_ref_out_of_range": {0x22, 0x00, 0x2a, 0x06, 0x0a, 0x02, 0x05, 0x06, 0x12, 0x00},
	"v2_odd_refs":         {0x22, 0x00, 0x2a, 0x05, 0x0a, 0x01, 0x00, 0x12, 0x00},
	"v2_first_symbol":     {0x22, 0x01, 'x', 0x2a, 0x02, 0x12, 0x00},
}

func TestHostileMessages(t *testing.T) {
	for name, body := range hostile {
		for _, v := range versions {
			t.Run(fmt.Sprintf("%s/v%d", name, v), func(t *testing.T) {
				checkAgainstReference(t, newDecoder(), v, body)
			})
		}
	}
}

// TestCorpus writes the corpus on demand; the fuzz tests read it.
func TestCorpus(t *testing.T) {
	if !*writeCorpus {
		for _, v := range versions {
			files, err := os.ReadDir(corpusDir(v))
			if err != nil || len(files) < len(hostile) {
				t.Errorf("%d files in %s (%v): run go test -run TestCorpus -write-corpus", len(files), corpusDir(v), err)
			}
		}
		return
	}
	for _, v := range versions {
		if err := os.MkdirAll(corpusDir(v), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, body := range hostile {
			writeSeed(t, v, name, body)
		}
		for seed := range uint64(8) {
			writeSeed(t, v, fmt.Sprintf("random_%d", seed), newGenerator(1000+seed, v).request())
		}
	}
}

func corpusDir(v Version) string {
	return filepath.Join("testdata", "fuzz", fmt.Sprintf("FuzzDecodeV%d", v))
}

func writeSeed(t *testing.T, v Version, name string, body []byte) {
	t.Helper()
	text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", body)
	if err := os.WriteFile(filepath.Join(corpusDir(v), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
