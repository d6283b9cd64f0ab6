package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/IBM/sarama"
)

// A frame is one record in a segment:
//
//	magic      4 bytes  "MSR1", what a search for the next frame after damage looks for
//	length     4 bytes  of everything after the checksum
//	crc32c     4 bytes  of everything after itself
//	group      4 bytes  how far before this frame its group commit began
//	partition  4 bytes
//	offset     8 bytes
//	time       8 bytes  Unix milliseconds
//	key, headers and value, each with its length as a varint
//
// Numbers are little-endian. Frames of one group commit were written together and acknowledged together:
// damage may be a torn write only while no later group exists.
const (
	frameMagic  = "MSR1"
	prefixBytes = 12
	fixedBytes  = prefixBytes + 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is in the chain of errors about bytes that are no frame.
var errDamaged = errors.New("no valid frame")

// frame is a frame taken apart; key, headers and value alias the bytes it was read from.
type frame struct {
	group     uint32
	partition int32
	offset    int64
	time      time.Time
	body      []byte
}

// appendFrame appends the frame of a message. group is the position in dst at which the group began.
func appendFrame(dst []byte, group int, partition int32, offset int64, at time.Time, m *message) []byte {
	begin := len(dst)
	dst = append(dst, frameMagic...)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(begin-group))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(partition))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(offset))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at.UnixMilli()))
	dst = appendBytes(dst, m.key)
	dst = binary.AppendUvarint(dst, uint64(len(m.headers)))
	for _, h := range m.headers {
		dst = appendBytes(dst, h.Key)
		dst = appendBytes(dst, h.Value)
	}
	dst = append(dst, m.value...)
	binary.LittleEndian.PutUint32(dst[begin+4:], uint32(len(dst)-begin-prefixBytes))
	binary.LittleEndian.PutUint32(dst[begin+8:], crc32.Checksum(dst[begin+prefixBytes:], castagnoli))
	return dst
}

// parseFrame reads the frame at the beginning of buf and returns its size.
func parseFrame(buf []byte) (frame, int, error) {
	if len(buf) < fixedBytes {
		return frame{}, 0, fmt.Errorf("%w: %d bytes are too few", errDamaged, len(buf))
	}
	if string(buf[:4]) != frameMagic {
		return frame{}, 0, fmt.Errorf("%w: it begins with %x", errDamaged, buf[:4])
	}
	size := int64(binary.LittleEndian.Uint32(buf[4:])) + prefixBytes
	if size < fixedBytes || size > int64(len(buf)) {
		return frame{}, 0, fmt.Errorf("%w: a length of %d bytes where %d are left", errDamaged, size, len(buf))
	}
	buf = buf[:size]
	if crc32.Checksum(buf[prefixBytes:], castagnoli) != binary.LittleEndian.Uint32(buf[8:]) {
		return frame{}, 0, fmt.Errorf("%w: the checksum of %d bytes is wrong", errDamaged, size)
	}
	return frame{
		group:     binary.LittleEndian.Uint32(buf[12:]),
		partition: int32(binary.LittleEndian.Uint32(buf[16:])),
		offset:    int64(binary.LittleEndian.Uint64(buf[20:])),
		time:      time.UnixMilli(int64(binary.LittleEndian.Uint64(buf[28:]))),
		body:      buf[fixedBytes:],
	}, int(size), nil
}

// message makes the frame what a consumer of the topic receives.
func (f *frame) message(topic string) (*sarama.ConsumerMessage, error) {
	m := &sarama.ConsumerMessage{Topic: topic, Partition: f.partition, Offset: f.offset, Timestamp: f.time, BlockTimestamp: f.time}
	body, ok := f.body, true
	if m.Key, body, ok = takeBytes(body); !ok {
		return nil, fmt.Errorf("%w: the key is cut off", errDamaged)
	}
	n, used := binary.Uvarint(body)
	if used <= 0 || n > uint64(len(body)) {
		return nil, fmt.Errorf("%w: the headers are cut off", errDamaged)
	}
	body = body[used:]
	for range n {
		h := &sarama.RecordHeader{}
		if h.Key, body, ok = takeBytes(body); ok {
			h.Value, body, ok = takeBytes(body)
		}
		if !ok {
			return nil, fmt.Errorf("%w: a header is cut off", errDamaged)
		}
		m.Headers = append(m.Headers, h)
	}
	m.Value = body
	return m, nil
}

// appendBytes appends b framed by its length plus one; 0 is nil.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b))+1)
	return append(dst, b...)
}

func takeBytes(buf []byte) (b, rest []byte, ok bool) {
	n, used := binary.Uvarint(buf)
	if used <= 0 || n > uint64(len(buf)) {
		return nil, nil, false
	}
	buf = buf[used:]
	if n == 0 {
		return nil, buf, true
	}
	if n--; n > uint64(len(buf)) {
		return nil, nil, false
	}
	return buf[:n:n], buf[n:], true
}
