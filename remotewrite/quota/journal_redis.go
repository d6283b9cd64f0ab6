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

	// journalChunk is how much is read at once.
	journalChunk = 1 << 20
)

// RedisJournal is the journal of all receivers that use one Redis. Each slice of time is one string.
type RedisJournal struct {
	client redis.Scripter
	script *redis.Script
	most   int64
	places map[int64]place
}

// place is how far a slice's journal has been read.
type place struct {
	head   string
	offset int64
}

// NewRedisJournal returns the journal in a Redis.
func NewRedisJournal(client redis.Scripter) *RedisJournal {
	return &RedisJournal{client: client, script: redis.NewScript(journalLua), most: maxJournal, places: make(map[int64]place)}
}

// Exchange implements [Journal].
func (j *RedisJournal) Exchange(ctx context.Context, slice int64, records []byte, visit func(tenant string, ids []uint64)) (o Outcome, _ error) {
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
		a, err := j.ask(ctx, slice, p, records)
		if err != nil {
			return o, err
		}
		o.Lost = o.Lost || p.head != "" && a.at.head != p.head
		o.Full = o.Full || a.full
		n, err := visitRecords(a.chunk, visit)
		if errors.Is(err, errDamage) || n == 0 && err != nil {
			a.at.offset = a.size // what cannot be read is left out, once
			j.places[slice] = a.at
			return o, err
		}
		a.at.offset += int64(n)
		j.places[slice] = a.at
		if a.at.offset >= a.size {
			return o, nil
		}
	}
}

// part is a part of a slice's journal: from where on it was read, how long all is, and whether it was too long for more.
type part struct {
	at    place
	chunk []byte
	size  int64
	full  bool
}

// ask runs the script.
func (j *RedisJournal) ask(ctx context.Context, slice int64, p place, records []byte) (part, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	keep := (keptSlices + 2) * sliceLength
	head := fmt.Sprintf("%016x", rand.Uint64())
	v, err := j.script.Run(ctx, j.client, []string{keyPrefix + "series:" + strconv.FormatInt(slice, 10)},
		keep.Milliseconds(), head, p.head, p.offset, records, journalChunk, j.most).Slice()
	if err != nil {
		return part{}, fmt.Errorf("cannot exchange the journal of series with Redis: %w", err)
	}
	if len(v) != 5 {
		return part{}, fmt.Errorf("cannot read the journal of series from Redis: %d values", len(v))
	}
	got, okHead := v[0].(string)
	offset, okOffset := v[1].(int64)
	chunk, okChunk := v[2].(string)
	size, okSize := v[3].(int64)
	full, okFull := v[4].(int64)
	if !okHead || !okOffset || !okChunk || !okSize || !okFull {
		return part{}, fmt.Errorf("cannot read the journal of series from Redis: the values are of other types")
	}
	return part{place{got, offset}, []byte(chunk), size, full == 1}, nil
}
