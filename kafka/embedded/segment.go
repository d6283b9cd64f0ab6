package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/metricstream/metricstream/internal/failpoint"
)

// A segment file begins with a header: "MSLOG" and the version in 8 bytes, then the length and the crc32c of
// what follows: the topic framed by its length, the number of partitions, and the next offset of each
// partition, as varints. Frames follow.
const (
	segmentMagic  = "MSLOG\x00\x00\x01"
	segmentSuffix = ".log"
)

// place is where a frame stands in its segment.
type place struct{ pos, size uint32 }

// segment is one file of the log and the index of the frames in it.
type segment struct {
	seq  uint64
	path string
	file file
	size int64

	// oldest and newest are when the first and the last record was written; oldest is zero without any.
	oldest, newest time.Time

	// gaps says that damaged bytes were passed over, so that offsets may be missing; skipped says how many.
	gaps    bool
	skipped int64

	// first is the offset of each partition's first frame in the segment, or of the next one that would
	// have been in it. The frame with offset first[p]+i of partition p is at places[p][i], which has no size
	// where the frame is lost. The first and the last place have one.
	first  []int64
	places [][]place
}

func segmentPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", seq, segmentSuffix))
}

// createSegment makes a new segment durable, its name included.
func createSegment(dir string, seq uint64, topic string, next []int64) (*segment, error) {
	path := segmentPath(dir, seq)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot create log segment: %w", err)
	}
	failpoint.Hit("log/segment-created")
	header := segmentHeader(topic, next)
	if _, err = f.WriteAt(header, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		failpoint.Hit("log/segment-synced")
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot create log segment %s: %w", path, err), f.Close(), os.Remove(path))
	}
	s := newSegment(seq, path, diskFile{f}, next)
	s.size = int64(len(header))
	return s, nil
}

func newSegment(seq uint64, path string, f file, next []int64) *segment {
	return &segment{
		seq: seq, path: path, file: f,
		first:  append([]int64(nil), next...),
		places: make([][]place, len(next)),
	}
}

func segmentHeader(topic string, next []int64) []byte {
	body := appendBytes(nil, []byte(topic))
	body = binary.AppendUvarint(body, uint64(len(next)))
	for _, n := range next {
		body = binary.AppendUvarint(body, uint64(n))
	}
	h := append([]byte(segmentMagic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(h[8:], uint32(len(body)))
	binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(body, castagnoli))
	return append(h, body...)
}

var errSegmentHeader = errors.New("the segment's header is damaged")

// parseSegmentHeader returns the topic, the next offsets and the header's size.
func parseSegmentHeader(buf []byte) (string, []int64, int, error) {
	if len(buf) < 16 || string(buf[:5]) != segmentMagic[:5] {
		return "", nil, 0, errSegmentHeader
	}
	if string(buf[:8]) != segmentMagic {
		return "", nil, 0, fmt.Errorf("the segment has format version %d, this program reads version 1", buf[7])
	}
	size := int64(binary.LittleEndian.Uint32(buf[8:])) + 16
	if size > int64(len(buf)) || crc32.Checksum(buf[16:size], castagnoli) != binary.LittleEndian.Uint32(buf[12:]) {
		return "", nil, 0, errSegmentHeader
	}
	topic, body, ok := takeBytes(buf[16:size])
	n, used := binary.Uvarint(body)
	if !ok || used <= 0 || n > uint64(len(body)) {
		return "", nil, 0, errSegmentHeader
	}
	body = body[used:]
	next := make([]int64, n)
	for p := range next {
		v, used := binary.Uvarint(body)
		if used <= 0 {
			return "", nil, 0, errSegmentHeader
		}
		next[p], body = int64(v), body[used:]
	}
	return string(topic), next, int(size), nil
}

// add puts a frame of the partition into the index.
func (s *segment) add(partition int32, pos, size int) {
	s.places[partition] = append(s.places[partition], place{uint32(pos), uint32(size)})
}

// gap leaves out the offsets up to the next frame's.
func (s *segment) gap(partition int32, offset int64) {
	if len(s.places[partition]) == 0 {
		s.first[partition] = offset
		return
	}
	s.places[partition] = append(s.places[partition], make([]place, offset-s.next(partition))...)
}

// from returns the first offset from this one on that the segment has a frame of.
func (s *segment) from(partition int32, offset int64) (int64, bool) {
	offset = max(offset, s.first[partition])
	for ; offset < s.next(partition); offset++ {
		if s.places[partition][offset-s.first[partition]].size > 0 {
			return offset, true
		}
	}
	return 0, false
}

// next returns the offset after the partition's last frame.
func (s *segment) next(partition int32) int64 {
	return s.first[partition] + int64(len(s.places[partition]))
}

// read reads the frame with the offset, which must be in the segment.
func (s *segment) read(partition int32, offset int64) (frame, error) {
	at := s.places[partition][offset-s.first[partition]]
	buf := make([]byte, at.size)
	if _, err := s.file.ReadAt(buf, int64(at.pos)); err != nil && !errors.Is(err, io.EOF) {
		return frame{}, fmt.Errorf("cannot read log segment %s at byte %d: %w", s.path, at.pos, err)
	}
	f, _, err := parseFrame(buf)
	if err == nil && (f.partition != partition || f.offset != offset) {
		err = fmt.Errorf("%w: it is offset %d of partition %d", errDamaged, f.offset, f.partition)
	}
	if err != nil {
		return frame{}, fmt.Errorf("log segment %s is damaged at byte %d, offset %d of partition %d: %w", s.path, at.pos, offset, partition, err)
	}
	return f, nil
}
