package quota

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/redis/go-redis/v9"
)

//go:embed journal.lua
var journalLua string

const (
	// journalHead is the length of the name in front of a slice's journal, by which one that was lost and begun again is
	// told from the one before it.
	journalHead = 16

	// journalChunk is how much is read at once, and maxJournal how long a slice's journal may become.
	journalChunk = 1 << 20
	maxJournal   = 256 << 20
)

// RedisJournal is the journal of all receivers that use one Redis. Each slice of time is one string.
type RedisJournal struct {
	client redis.Scripter
	script *redis.Script
	places map[int64]place
}

// place is how far a slice's journal has been read.
type place struct {
	head   string
	offset int64
}

// NewRedisJournal returns the journal in a Redis.
func NewRedisJournal(client redis.Scripter) *RedisJournal {
	return &RedisJournal{client: client, script: redis.NewScript(journalLua), places: make(map[int64]place)}
}

// Exchange implements [Journal].
func (j *RedisJournal) Exchange(ctx context.Context, slice int64, records []byte, visit func(tenant string, ids []uint64)) (lost Loss, _ error) {
	for old := range j.places {
		if old < slice-2*keptSlices || old > slice+2*keptSlices {
			delete(j.places, old)
		}
	}
	for first := true; ; first = false {
		p := j.places[slice]
		if !first {
			records = nil
		}
		next, chunk, size, err := j.ask(ctx, slice, p, records)
		if err != nil {
			return lost, err
		}
		lost = lost || Loss(p.head != "" && next.head != p.head)
		n, err := visitRecords(chunk, visit)
		if errors.Is(err, errDamage) || n == 0 && err != nil {
			next.offset = size // what cannot be read is left out, once
			j.places[slice] = next
			return lost, err
		}
		next.offset += int64(n)
		j.places[slice] = next
		if next.offset >= size {
			return lost, nil
		}
	}
}

// ask runs the script and returns from where on a part was read, the part, and how long all is.
func (j *RedisJournal) ask(ctx context.Context, slice int64, p place, records []byte) (place, []byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	keep := (keptSlices + 2) * sliceLength
	head := fmt.Sprintf("%016x", rand.Uint64())
	v, err := j.script.Run(ctx, j.client, []string{keyPrefix + "series:" + strconv.FormatInt(slice, 10)},
		keep.Milliseconds(), head, p.head, p.offset, records, journalChunk, maxJournal).Slice()
	if err != nil {
		return p, nil, 0, fmt.Errorf("cannot exchange the journal of series with Redis: %w", err)
	}
	if len(v) != 4 {
		return p, nil, 0, fmt.Errorf("cannot read the journal of series from Redis: %d values", len(v))
	}
	got, okHead := v[0].(string)
	offset, okOffset := v[1].(int64)
	chunk, okChunk := v[2].(string)
	size, okSize := v[3].(int64)
	if !okHead || !okOffset || !okChunk || !okSize {
		return p, nil, 0, fmt.Errorf("cannot read the journal of series from Redis: the values are of other types")
	}
	return place{got, offset}, []byte(chunk), size, nil
}
