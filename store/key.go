package store

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Key identifies a series, everywhere: in the log, in the tables and between them. It is stored, so how it is
// computed never changes.
//
// ID is a 64-bit hash of the tenant and the whole label set, metric name included. Metric is a 32-bit hash of
// the tenant and the metric name; it stands before ID in sort orders and keeps a metric's series together.
type Key struct {
	Metric uint32
	ID     uint64
}

// Compare orders keys by metric, then id: the order of the tables.
func (k Key) Compare(o Key) int {
	if k.Metric != o.Metric {
		if k.Metric < o.Metric {
			return -1
		}
		return 1
	}
	if k.ID != o.ID {
		if k.ID < o.ID {
			return -1
		}
		return 1
	}
	return 0
}

// Partition returns the partition, of n, that the series belongs to.
func (k Key) Partition(n int) int { return int(k.ID % uint64(n)) }

// KeyOf computes the key of a tenant's series. The labels must be sorted by name, as labels.Labels are.
func KeyOf(tenant string, ls labels.Labels) Key {
	buf := make([]byte, 0, 1024)
	buf = appendString(buf, tenant)
	ls.Range(func(l labels.Label) {
		buf = appendString(buf, l.Name)
		buf = appendString(buf, l.Value)
	})
	return Key{Metric: MetricOf(tenant, ls.Get(labels.MetricName)), ID: xxhash.Sum64(buf)}
}

// MetricOf computes the metric half of the keys of a tenant's series with this metric name.
func MetricOf(tenant, name string) uint32 {
	buf := make([]byte, 0, 256)
	buf = appendString(buf, tenant)
	buf = appendString(buf, name)
	h := xxhash.Sum64(buf)
	return uint32(h) ^ bits.RotateLeft32(uint32(h>>32), 16)
}

// appendString frames s by its length, so that no two lists of strings give the same bytes.
func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
