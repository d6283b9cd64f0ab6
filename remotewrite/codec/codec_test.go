package codec

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/store"
)

const testNowMs = 1_790_000_000_000

func testLimits() Limits {
	return Limits{Series: 100_000, Points: 100_000, Labels: 64, NameBytes: 1024, ValueBytes: 4096, Buckets: 10_000, FutureMs: 600_000, AgeMs: 7 * 86_400_000}
}

func newDecoder() *Decoder { return NewDecoder(testLimits(), NewCache(10_000, 3600_000)) }

// newDecoderOfAnyAge is for tests whose times are small numbers.
func newDecoderOfAnyAge() *Decoder {
	limits := testLimits()
	limits.AgeMs = 0
	return NewDecoder(limits, NewCache(10_000, 3600_000))
}

var versions = []Version{V1, V2}

// TestDecodesWhatTheGeneratedTypesDecode holds random requests against the generated decoders. One decoder serves
// many requests, so that most series are found in the cache.
func TestDecodesWhatTheGeneratedTypesDecode(t *testing.T) {
	for _, v := range versions {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			d := newDecoder()
			var r Request
			for seed := range uint64(2000) {
				body := newGenerator(seed, v).request()
				want, err := referenceOf(v, body)
				if err != nil {
					t.Fatalf("seed %d: the generated decoder refuses the request: %v", seed, err)
				}
				if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				clear(body) // nothing in the batch may refer to it
				if diff := cmp.Diff(want, outcomeOf(&r), cmp.AllowUnexported(outcome{})); diff != "" {
					t.Fatalf("seed %d: want -, got +\n%s", seed, diff)
				}
			}
		})
	}
}

// TestAcceptsNothingThatTheGeneratedTypesRefuse feeds damaged requests. The generated decoders are laxer in one
// point: a packed list may run over its end there.
func TestAcceptsNothingThatTheGeneratedTypesRefuse(t *testing.T) {
	for _, v := range versions {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			d := newDecoder()
			for seed := range uint64(6000) {
				g := newGenerator(seed, v)
				body := g.request()
				for range 1 + g.IntN(3) {
					body[g.IntN(len(body))] = byte(g.Uint32())
				}
				checkAgainstReference(t, d, v, body)
			}
		})
	}
}

// checkAgainstReference checks that what both decoders accept is the same, and that ours accepts no more.
func checkAgainstReference(t *testing.T, d *Decoder, v Version, body []byte) {
	t.Helper()
	var r Request
	err := d.Decode(&r, v, testTenant, body, testNowMs)
	if err != nil {
		if store.KindOf(err) != store.KindInvalid {
			t.Fatalf("%x: the error is not of KindInvalid: %v", body, err)
		}
		return
	}
	want, err := referenceOf(v, body)
	if err != nil {
		t.Fatalf("%x: accepted, but the generated decoder says: %v", body, err)
	}
	if diff := cmp.Diff(want, outcomeOf(&r), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Fatalf("%x: want -, got +\n%s", body, diff)
	}
}

// TestRefusesTruncatedRequests cuts requests short at every byte. A prefix is only a request where it ends
// between two fields of the outermost message.
func TestRefusesTruncatedRequests(t *testing.T) {
	for _, v := range versions {
		d := newDecoder()
		var r Request
		for seed := range uint64(50) {
			g := newGenerator(seed, v)
			g.tame = true
			body := g.request()
			for n := 1; n < len(body); n++ {
				_, refErr := referenceOf(v, body[:n])
				err := d.Decode(&r, v, testTenant, body[:n], testNowMs)
				if (err == nil) != (refErr == nil) {
					t.Fatalf("seed %d: %d of %d bytes: got %v, the generated decoder says %v", seed, n, len(body), err, refErr)
				}
				if err != nil && !errors.Is(err, errTruncated) {
					t.Fatalf("seed %d: %d of %d bytes: %v", seed, n, len(body), err)
				}
			}
		}
	}
}

func FuzzDecodeV1(f *testing.F) { fuzz(f, V1) }
func FuzzDecodeV2(f *testing.F) { fuzz(f, V2) }

func fuzz(f *testing.F, v Version) {
	for seed := range uint64(20) {
		f.Add(newGenerator(seed, v).request())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		d := newDecoder()
		checkAgainstReference(t, d, v, body)
		checkAgainstReference(t, d, v, body) // from the cache
	})
}
