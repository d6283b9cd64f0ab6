package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/metricstream/metricstream/store"
)

// TestGolden reads the records that were written when the version was made, and writes the same. With
// METRICSTREAM_UPDATE_GOLDEN set it writes files that are missing; it never changes one.
func TestGolden(t *testing.T) {
	classed := everything()
	classed.Class = 7
	for name, want := range map[string]*store.Batch{"v1-empty": {}, "v1-everything": everything(), "v1-scrape": scrape(20), "v2-everything": classed} {
		path := filepath.Join("testdata", name+".bin")
		golden, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && os.Getenv("METRICSTREAM_UPDATE_GOLDEN") != "" {
			golden = encode(want)
			err = os.WriteFile(path, golden, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got store.Batch
		var d Decoder
		if err := d.Decode(&got, golden); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, &got, equal); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !bytes.Equal(encode(want), golden) {
			t.Errorf("%s: the encoder writes other bytes: a change of the format needs a new version", name)
		}
	}
}

// FuzzDecode feeds anything to the decoder; what it takes must mean the same when encoded again.
func FuzzDecode(f *testing.F) {
	for _, b := range []*store.Batch{{}, everything(), scrape(20), {Class: 3}} {
		f.Add(encode(b))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second store.Batch
		var d Decoder
		if err := d.Decode(&first, data); err != nil {
			var v *VersionError
			if !errors.Is(err, ErrCorrupt) && !errors.As(err, &v) {
				t.Fatalf("an error without a verdict: %v", err)
			}
			if !first.Empty() {
				t.Fatal("a refused record left rows behind")
			}
			return
		}
		if err := d.Decode(&second, encode(&first)); err != nil {
			t.Fatal(err)
		}
		// Bytes, not values: NaN differs from itself.
		if !bytes.Equal(encode(&first), encode(&second)) {
			t.Fatal("decoded and encoded again, the record means something else")
		}
	})
}

// BenchmarkZstd shows what compression would save, and cost.
func BenchmarkZstd(b *testing.B) {
	data := encode(scrape(1000))
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var packed, unpacked []byte
	for b.Loop() {
		packed = w.EncodeAll(data, packed[:0])
		if unpacked, err = r.DecodeAll(packed, unpacked[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
	b.ReportMetric(float64(len(packed))/float64(len(data)), "size")
}
