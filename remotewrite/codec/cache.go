package codec

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"unique"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"

	"github.com/metricstream/metricstream/store"
)

// Cache remembers series, so that the labels of a series are parsed, sorted and validated once and not with each
// sample. It finds a series by a hash of its labels as they stand on the wire; the hash is seeded anew in each
// process and 128 bits wide, so that no sender can make two label sets meet. A second table finds the same
// series by key: label sets in another order or of the other version lead to one series, and two label sets
// with one key are noticed.
//
// It is bounded: what was not seen for a while is dropped, and beyond the limit series are parsed each time.
type Cache struct {
	limit  int // series of a shard
	idleMs int64
	seed   uint64

	wire [cacheShards]table[sighting]
	keys [cacheShards]table[*series]

	nextSweepMs atomic.Int64
	nextShard   atomic.Uint64

	misses, full, evicted, collisions atomic.Uint64
}

const cacheShards = 16

// formsPerSeries is how many label sets on the wire the cache remembers for each series it has room for: a series
// comes as 1.0 and as 2.0, or from each replica of a pair.
const formsPerSeries = 2

// sighting is what a label set on the wire leads to: the series, and the replica that the label set names, the zero
// handle where it names none.
type sighting struct {
	series *series
	pair   unique.Handle[Pair]
}

// NewCache returns a cache of at most maxSeries series that forgets a series idleMs after it was last seen.
func NewCache(maxSeries int, idleMs int64) *Cache {
	return &Cache{limit: (maxSeries + cacheShards - 1) / cacheShards, idleMs: idleMs, seed: rand.Uint64()}
}

// CacheStats is the state of a cache.
type CacheStats struct {
	// Series is the count of series in the cache.
	Series int

	// The rest count events since the start: label sets that were not found, series that were not
	// remembered for lack of room, series dropped because they were idle, and label sets that were refused
	// because another one has their key.
	Misses, Full, Evicted, Collisions uint64
}

// Stats returns the state of the cache.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Misses: c.misses.Load(), Full: c.full.Load(), Evicted: c.evicted.Load(), Collisions: c.collisions.Load()}
	for i := range c.keys {
		st.Series += c.keys[i].len()
	}
	return st
}

// tenantSeed returns the seed of the hashes of one tenant's label sets.
func (c *Cache) tenantSeed(tenant string, v Version) uint64 {
	return xxh3.HashStringSeed(tenant, c.seed+uint64(v))
}

// find returns what a label set with this hash leads to; its series is nil where that is not known.
func (c *Cache) find(h hash128, tenant string, nowMs int64) sighting {
	e := c.wire[h.hi%cacheShards].find(h)
	if e == nil || e.value.series.tenant != tenant {
		return sighting{}
	}
	touch(&e.usedMs, nowMs)
	touch(&e.value.series.usedMs, nowMs)
	return e.value
}

// knows reports whether there is a series with the key, in whatever form.
func (c *Cache) knows(key store.Key) bool {
	h := c.hashKey(key)
	return c.keys[h.hi%cacheShards].find(h) != nil
}

// add returns the series of a label set that was not found by its hash, and remembers it, with the replica that the
// label set names, if there is room. It returns nil if another label set has the key.
func (c *Cache) add(h hash128, tenant string, key store.Key, ls labels.Labels, pair unique.Handle[Pair], nowMs int64) *series {
	c.misses.Add(1)
	byKey := c.hashKey(key)
	s := &series{tenant: tenant, key: key, hash: byKey.lo, labels: ls, shape: shapeOf(ls)}
	s.usedMs.Store(nowMs)
	e := c.keys[byKey.hi%cacheShards].add(byKey, s, nowMs, c.limit)
	if e == nil {
		c.full.Add(1)
		return s
	}
	s = e.value
	if !s.is(tenant, ls) {
		c.collisions.Add(1)
		return nil
	}
	touch(&s.usedMs, nowMs)
	c.remember(h, sighting{s, pair}, nowMs)
	return s
}

// remember makes find return what a label set leads to, if there is room.
func (c *Cache) remember(h hash128, s sighting, nowMs int64) {
	if c.wire[h.hi%cacheShards].add(h, s, nowMs, formsPerSeries*c.limit) == nil {
		c.full.Add(1)
	}
}

// Forget makes the start timestamp and the metadata of a series be written again with its next samples, where it is known: the
// tables have them no longer.
func (c *Cache) Forget(key store.Key) {
	h := c.hashKey(key)
	if e := c.keys[h.hi%cacheShards].find(h); e != nil {
		e.value.starts.Store(nil)
		e.value.metadata.Store(0)
	}
}

// Used calls yield with the tenant and the id of each series that was seen at or after a time. It takes no locks that
// requests wait for.
func (c *Cache) Used(sinceMs int64, yield func(tenant string, id uint64)) {
	for i := range c.keys {
		c.keys[i].each(func(e *entry[*series]) {
			if e.value.usedMs.Load() >= sinceMs {
				yield(e.value.tenant, e.value.key.ID)
			}
		})
	}
}

// sweep drops idle series, a shard at a time, as often as it takes to visit each shard every idle period.
func (c *Cache) sweep(nowMs int64) {
	next := c.nextSweepMs.Load()
	if nowMs < next || !c.nextSweepMs.CompareAndSwap(next, nowMs+max(1, c.idleMs/(4*cacheShards))) {
		return
	}
	shard := c.nextShard.Add(1) % cacheShards
	idleMs := c.idleMs
	if c.keys[shard].len() >= c.limit || c.wire[shard].len() >= formsPerSeries*c.limit {
		idleMs /= 4 // others wait for the room
	}
	since := nowMs - idleMs
	c.wire[shard].sweep(func(e *entry[sighting]) bool { return e.usedMs.Load() >= since })
	n := c.keys[shard].sweep(func(e *entry[*series]) bool { return e.value.usedMs.Load() >= since })
	c.evicted.Add(uint64(n))
}

// hashKey spreads a key with the seed: keys are stored, so their hash is known to senders.
func (c *Cache) hashKey(k store.Key) hash128 {
	var buf [12]byte
	binary.LittleEndian.PutUint32(buf[:], k.Metric)
	binary.LittleEndian.PutUint64(buf[4:], k.ID)
	h := xxh3.Hash128Seed(buf[:], c.seed)
	return hash128{h.Hi, h.Lo}
}
