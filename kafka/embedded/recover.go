package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// maxFrameBytes bounds what is read at once to find the end of a frame.
const maxFrameBytes = 128 << 20

// scanBytes is how much of a segment is read at once.
const scanBytes = 4 << 20

// segmentSeqs lists the segments of a folder, oldest first.
func segmentSeqs(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list log folder: %w", err)
	}
	var seqs []uint64
	for _, e := range entries {
		name, found := strings.CutSuffix(e.Name(), segmentSuffix)
		if seq, err := strconv.ParseUint(name, 10, 64); found && err == nil {
			seqs = append(seqs, seq)
		}
	}
	sort.Slice(seqs, func(i, j int) bool { return seqs[i] < seqs[j] })
	return seqs, nil
}

// openSegment reads a segment and builds its index. The last segment of a log may end in a torn write, which is
// cut off; damage anywhere else is an error that names its place. It returns nil, nil for a last segment whose
// header was never finished: nothing in it was acknowledged.
func openSegment(dir string, seq uint64, topic string, last bool, log *slog.Logger) (*segment, error) {
	path := segmentPath(dir, seq)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open log segment: %w", err)
	}
	s, err := scanSegment(f, path, seq, topic, last, log)
	if err != nil || s == nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func scanSegment(f *os.File, path string, seq uint64, topic string, last bool, log *slog.Logger) (*segment, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot open log segment: %w", err)
	}
	head := make([]byte, min(info.Size(), 1<<20))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, fmt.Errorf("cannot read log segment %s: %w", path, err)
	}
	name, next, pos, err := parseSegmentHeader(head)
	switch {
	case errors.Is(err, errSegmentHeader) && last && !bytes.Contains(head, []byte(frameMagic)):
		log.Warn("log segment was never finished, it is removed", "file", path)
		return nil, os.Remove(path)
	case err != nil:
		return nil, fmt.Errorf("cannot open log segment %s: %w", path, err)
	case name != topic:
		return nil, fmt.Errorf("cannot open log segment %s: it belongs to topic %q, configured is %q; use another folder or set the topic", path, name, topic)
	}
	s := newSegment(seq, path, diskFile{f}, next)
	s.newest = info.ModTime()
	s.size = int64(pos)
	if err := s.scanFrames(info.Size()); err != nil {
		if !errors.Is(err, errDamaged) {
			return nil, err
		}
		return s, s.cutTail(info.Size(), last, err, log)
	}
	return s, nil
}

// scanFrames puts all frames up to end into the index. On damage size is where it begins.
func (s *segment) scanFrames(end int64) error {
	buf := make([]byte, 0, scanBytes)
	for s.size < end {
		want := min(int64(cap(buf)), end-s.size)
		buf = buf[:want]
		if _, err := s.file.ReadAt(buf, s.size); err != nil {
			return fmt.Errorf("cannot read log segment %s at byte %d: %w", s.path, s.size, err)
		}
		used := 0
		for used < len(buf) {
			f, size, err := parseFrame(buf[used:])
			if err != nil && used == 0 && s.size+want < end && cap(buf) < maxFrameBytes {
				buf = make([]byte, 0, 4*cap(buf)) // a frame longer than the buffer, perhaps
				break
			}
			if err != nil && used > 0 && s.size+want < end {
				break // the rest of the frame is not in the buffer, perhaps
			}
			if err == nil {
				err = s.addFrame(&f, int(s.size)+used, size)
			}
			if err != nil {
				s.size += int64(used)
				return err
			}
			used += size
		}
		s.size += int64(used)
	}
	return nil
}

func (s *segment) addFrame(f *frame, pos, size int) error {
	if int(f.partition) < 0 || int(f.partition) >= len(s.places) {
		return fmt.Errorf("log segment %s is damaged at byte %d: partition %d of %d", s.path, pos, f.partition, len(s.places))
	}
	if want := s.next(f.partition); f.offset != want {
		return fmt.Errorf("log segment %s is damaged at byte %d: offset %d of partition %d follows %d", s.path, pos, f.offset, f.partition, want-1)
	}
	s.add(f.partition, pos, size)
	s.newest = f.time
	return nil
}

// cutTail truncates the segment at the damage, which is at size, if that can be a write that a crash tore: if
// no frame of a later group follows. A group is written only when the one before it is durable.
func (s *segment) cutTail(end int64, last bool, damage error, log *slog.Logger) error {
	if !last {
		return s.damaged(damage)
	}
	rest := make([]byte, end-s.size)
	if _, err := s.file.ReadAt(rest, s.size); err != nil {
		return fmt.Errorf("cannot read log segment %s at byte %d: %w", s.path, s.size, err)
	}
	for i := 0; i < len(rest); i++ {
		at := bytes.Index(rest[i:], []byte(frameMagic))
		if at < 0 {
			break
		}
		i += at
		if f, _, err := parseFrame(rest[i:]); err == nil && int64(f.group) < int64(i) {
			return s.damaged(damage)
		}
	}
	log.Warn("log ends in a write that was never finished, it is cut off", "file", filepath.Base(s.path), "byte", s.size, "bytes", len(rest))
	if err := s.file.Truncate(s.size); err != nil {
		return fmt.Errorf("cannot cut the end of log segment %s: %w", s.path, err)
	}
	return s.file.sync()
}

func (s *segment) damaged(err error) error {
	return fmt.Errorf("log segment %s is damaged at byte %d and intact records follow: restore the file, or move it away and lose its records: %w", s.path, s.size, err)
}
