package bench

import (
	"encoding/binary"

	"github.com/golang/snappy"
)

// squeezeBlock is snappy's block: its encoder looks no further back.
const squeezeBlock = 64 << 10

// squeeze compresses a message piece by piece, so that what is not yet compressed stays small and in the cache: a
// request of 2000 samples is ten times as large as what a core keeps near. The result is the same format as that of
// snappy.Encode over the whole.
type squeeze struct {
	out []byte // room for the header, then the compressed blocks
	raw int
}

func (q *squeeze) reset() {
	q.out = append(q.out[:0], make([]byte, binary.MaxVarintLen64)...)
	q.raw = 0
}

// add compresses the next part of the message.
func (q *squeeze) add(part []byte) {
	q.raw += len(part)
	for len(part) > 0 {
		n := min(len(part), squeezeBlock)
		q.block(part[:n])
		part = part[n:]
	}
}

func (q *squeeze) block(b []byte) {
	at, room := len(q.out), snappy.MaxEncodedLen(len(b))
	if cap(q.out)-at < room {
		q.out = append(make([]byte, 0, 2*cap(q.out)+room), q.out...)
	}
	encoded := snappy.Encode(q.out[at:at+room], b)
	header := uvarintLen(uint64(len(b))) // the length of this block alone
	q.out = append(q.out, encoded[header:]...)
}

// finish returns the compressed message, valid until reset.
func (q *squeeze) finish() []byte {
	header := q.out[:binary.MaxVarintLen64]
	n := uvarintLen(uint64(q.raw))
	binary.PutUvarint(header[len(header)-n:], uint64(q.raw))
	return q.out[len(header)-n:]
}
