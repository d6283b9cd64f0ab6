package quota

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/redis"
)

type seen map[string][]uint64

func (s seen) visit(tenant string, ids []uint64) { s[tenant] = append(s[tenant], ids...) }

// TestRecords: the bytes stay what they are, every prefix that ends within a record is noticed, and so is nonsense.
func TestRecords(t *testing.T) {
	b := appendRecord(appendRecord(nil, "ab", []uint64{1, 1 << 63}), "c", []uint64{7})
	if got := hex.EncodeToString(b); got != "02616202"+"0100000000000000"+"0000000000000080"+"016301"+"0700000000000000" {
		t.Errorf("got %s", got)
	}
	const first = 4 + 16
	for i := range len(b) {
		s := seen{}
		n, err := visitRecords(b[:i], s.visit)
		want := 0
		if i >= first {
			want = first
		}
		if n != want || i != 0 && i != first && !errors.Is(err, errShort) || len(s["ab"]) != want/10 {
			t.Errorf("of %d bytes %d are read, %v, %v", i, n, err, s)
		}
	}
	s := seen{}
	if n, err := visitRecords(b, s.visit); n != len(b) || err != nil || !slices.Equal(s["ab"], []uint64{1, 1 << 63}) || !slices.Equal(s["c"], []uint64{7}) {
		t.Errorf("%d, %v, %v", n, err, s)
	}
	for _, bad := range [][]byte{bytes.Repeat([]byte{0xff}, 20), {0xff, 0x7f}, {1, 'a', 0xff, 0xff, 0x7f}} {
		if n, err := visitRecords(bad, s.visit); n != 0 || !errors.Is(err, errDamage) {
			t.Errorf("% x: %d, %v", bad, n, err)
		}
	}
}

// TestRedisJournal reads what several have written, in parts and once, and goes on behind what is damaged.
func TestRedisJournal(t *testing.T) {
	t.Parallel()
	config := redis.DefaultConfig()
	config.Address = testenv.StartRedis(t).Address
	client := redis.New(config)
	defer client.Close()
	a, b := NewRedisJournal(client), NewRedisJournal(client)
	exchange := func(j *RedisJournal, records []byte) seen {
		t.Helper()
		s := seen{}
		if met, err := j.Exchange(t.Context(), 7, records, s.visit); err != nil || met != (Outcome{}) {
			t.Fatal(met, err)
		}
		return s
	}
	if s := exchange(a, nil); len(s) != 0 {
		t.Errorf("an empty journal has %v", s)
	}
	if n := client.Exists(t.Context(), keyPrefix+"series:7").Val(); n != 0 {
		t.Error("a journal begins though nobody writes")
	}
	var ids []uint64
	var records []byte
	for i := range uint64(300_000) { // more than is read at once
		ids = append(ids, i)
	}
	for part := range slices.Chunk(ids, maxRecordIDs) {
		records = appendRecord(records, "t", part)
	}
	exchange(a, records)
	if s := exchange(b, appendRecord(nil, "u", []uint64{5})); !slices.Equal(s["t"], ids) || !slices.Equal(s["u"], []uint64{5}) {
		t.Errorf("%d and %d ids", len(s["t"]), len(s["u"]))
	}
	if s := exchange(a, nil); len(s["t"]) != 0 || len(s["u"]) != 1 {
		t.Errorf("%v", s)
	}
	if ttl := client.PTTL(t.Context(), keyPrefix+"series:7").Val(); ttl <= keptSlices*sliceLength || ttl > 4*sliceLength {
		t.Errorf("it lives for %v", ttl)
	}
	client.Append(t.Context(), keyPrefix+"series:7", string(bytes.Repeat([]byte{0xff}, 20)))
	if _, err := b.Exchange(t.Context(), 7, nil, seen{}.visit); !errors.Is(err, errDamage) {
		t.Errorf("a damaged journal: %v", err)
	}
	exchange(b, nil)
	client.FlushAll(t.Context())
	if met, err := b.Exchange(t.Context(), 7, nil, seen{}.visit); !met.Lost || err != nil {
		t.Errorf("what was lost: %+v, %v", met, err)
	}
	exchange(b, appendRecord(nil, "v", []uint64{9}))
	s := seen{}
	if met, err := a.Exchange(t.Context(), 7, nil, s.visit); !met.Lost || err != nil || len(s["v"]) != 1 {
		t.Errorf("what was lost and begun again: %+v, %v, %v", met, err, s)
	}
	overflow(t, journalHead+30, func(most int64) Journal {
		j := NewRedisJournal(client)
		j.most = most
		return j
	})
}

func TestFilesAreNotEndless(t *testing.T) {
	dir := t.TempDir()
	overflow(t, 30, func(most int64) Journal {
		f := NewFiles(dir)
		f.most = most
		return f
	})
}

// overflow: what a journal has no room for is not written, and said so; the rest stays. There is room for one record.
func overflow(t *testing.T, room int64, open func(most int64) Journal) {
	t.Helper()
	j := open(room)
	for i, full := range []bool{false, true} {
		if met, err := j.Exchange(t.Context(), 9, appendRecord(nil, "t", []uint64{uint64(i), 7}), seen{}.visit); met.Full != full || met.Lost || err != nil {
			t.Errorf("record %d: %+v, %v", i, met, err)
		}
	}
	s := seen{}
	if met, err := open(maxJournal).Exchange(t.Context(), 9, appendRecord(nil, "u", []uint64{1}), s.visit); met.Full || err != nil || !slices.Equal(s["t"], []uint64{0, 7}) {
		t.Errorf("%+v, %v, %v", met, err, s)
	}
}
