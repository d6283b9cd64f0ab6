package list

import (
	"encoding/binary"
	"slices"

	"github.com/metricstream/metricstream/store"
)

// Keys is a set of series. A nil set is empty; a set does not change while others read it.
type Keys struct {
	ids map[uint32][]uint64 // by metric, sorted
	n   int
}

// NewKeys returns the set of some keys.
func NewKeys(keys []store.Key) *Keys {
	k := &Keys{}
	k.Add(keys)
	return k
}

// Add adds keys that the set does not have.
func (k *Keys) Add(keys []store.Key) {
	if k.ids == nil {
		k.ids = map[uint32][]uint64{}
	}
	touched := map[uint32]bool{}
	for _, key := range keys {
		ids := k.ids[key.Metric]
		if n := len(ids); n > 0 && ids[n-1] > key.ID {
			touched[key.Metric] = true
		}
		k.ids[key.Metric] = append(ids, key.ID)
	}
	for metric := range touched {
		slices.Sort(k.ids[metric])
	}
	k.n += len(keys)
}

// Has tells whether the set has a key.
func (k *Keys) Has(key store.Key) bool {
	if k == nil {
		return false
	}
	ids, ok := k.ids[key.Metric]
	if !ok {
		return false
	}
	_, ok = slices.BinarySearch(ids, key.ID)
	return ok
}

// Len returns the number of keys.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return k.n
}

// Each calls f with every key.
func (k *Keys) Each(f func(store.Key)) {
	if k == nil {
		return
	}
	for metric, ids := range k.ids {
		for _, id := range ids {
			f(store.Key{Metric: metric, ID: id})
		}
	}
}

// version is the first byte of an encoding.
const version = 1

// AppendKeys appends the encoding of keys, which are sorted: the version, then for each metric its number as four bytes, how
// many ids it has as a varint, and the ids as eight bytes each; all little-endian.
func AppendKeys(dst []byte, keys []store.Key) []byte {
	dst = append(dst, version)
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j].Metric == keys[i].Metric {
			j++
		}
		dst = binary.LittleEndian.AppendUint32(dst, keys[i].Metric)
		dst = binary.AppendUvarint(dst, uint64(j-i))
		for ; i < j; i++ {
			dst = binary.LittleEndian.AppendUint64(dst, keys[i].ID)
		}
	}
	return dst
}

// DecodeKeys appends the keys of an encoding to dst.
func DecodeKeys(dst []store.Key, data []byte) ([]store.Key, error) {
	bad := store.Invalidf("cannot read a list of erased series of %d bytes", len(data))
	if len(data) == 0 || data[0] != version {
		return dst, bad
	}
	for data = data[1:]; len(data) > 0; {
		if len(data) < 5 {
			return dst, bad
		}
		metric := binary.LittleEndian.Uint32(data)
		n, size := binary.Uvarint(data[4:])
		if size <= 0 || n == 0 || n > uint64(len(data))/8 || uint64(len(data)-4-size) < 8*n {
			return dst, bad
		}
		for data = data[4+size:]; n > 0; n-- {
			dst = append(dst, store.Key{Metric: metric, ID: binary.LittleEndian.Uint64(data)})
			data = data[8:]
		}
	}
	return dst, nil
}
