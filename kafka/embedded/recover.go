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

// opener reads the segments of a folder at open.
type opener struct {
	dir, topic string

	// skip says that damage in the middle is passed over, not refused.
	skip bool
	log  *slog.Logger
}

// open reads a segment and builds its index. The last segment of a log may end in a torn write, which is cut off;
// damage anywhere else is an error that names its place, or is passed over where that is configured. It returns
// nil, nil for a last segment whose header was never finished: nothing in it was acknowledged. before are the
// offsets behind the segments before this one, nil for the first.
func (o *opener) open(seq uint64, last bool, before []int64) (*segment, error) {
	path := segmentPath(o.dir, seq)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open log segment: %w", err)
	}
	s, err := o.read(f, path, seq, last, before)
	if err != nil || s == nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (o *opener) read(f *os.File, path string, seq uint64, last bool, before []int64) (*segment, error) {
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
		o.log.Warn("log segment was never finished, it is removed", "file", path)
		return nil, os.Remove(path)
	case errors.Is(err, errSegmentHeader) && o.skip && before != nil:
		// The header says what the segments before it end with. The search for frames begins at its end.
		name, next, pos = o.topic, before, 0
	case errors.Is(err, errSegmentHeader) && before != nil:
		return nil, fmt.Errorf("cannot open log segment %s: %w; %s", path, err, howToGoOn)
	case err != nil:
		return nil, fmt.Errorf("cannot open log segment %s: %w; restore the file, or move it away and lose its records", path, err)
	}
	if name != o.topic {
		return nil, fmt.Errorf("cannot open log segment %s: it belongs to topic %q, configured is %q; use another folder or set the topic", path, name, o.topic)
	}
	s := newSegment(seq, path, diskFile{f}, next)
	s.newest = info.ModTime()
	s.size = int64(pos)
	return s, o.scan(s, info.Size(), last)
}

// howToGoOn is what an operator can do about damage to acknowledged records.
const howToGoOn = "restore the file, or set kafka.embedded.skip_corrupt to true to lose what is damaged and keep the rest; `metricstream log verify` shows all there is"

// scan reads the segment's frames up to end.
func (o *opener) scan(s *segment, end int64, last bool) error {
	for {
		damage := s.scanFrames(end)
		if !errors.Is(damage, errDamaged) {
			return damage
		}
		rest := make([]byte, end-s.size)
		if _, err := s.file.ReadAt(rest, s.size); err != nil {
			return fmt.Errorf("cannot read log segment %s at byte %d: %w", s.path, s.size, err)
		}
		resume, later := resync(rest)
		if last && !later {
			return o.cutTail(s, len(rest))
		}
		if !o.skip {
			return fmt.Errorf("log segment %s is damaged at byte %d and acknowledged records are behind it; %s: %w", s.path, s.size, howToGoOn, damage)
		}
		o.log.Error("damaged bytes of the log are passed over (kafka.embedded.skip_corrupt); the records in them are lost", "file", s.path,
			"byte", s.size, "bytes", resume, "err", damage)
		s.size += int64(resume)
		s.gaps = true
		s.skipped += int64(resume)
	}
}

// resync returns where the first intact frame behind damaged bytes begins, len(rest) where there is none, and
// whether there is one of a group commit that began later than the damage: a group is written only when the one
// before it is durable, so that the damage is then not the end of a torn write.
func resync(rest []byte) (resume int, later bool) {
	resume = len(rest)
	for i := 1; i < len(rest); i++ {
		at := bytes.Index(rest[i:], []byte(frameMagic))
		if at < 0 {
			break
		}
		i += at
		f, size, err := parseFrame(rest[i:])
		if err != nil {
			continue
		}
		resume = min(resume, i)
		if int64(f.group) < int64(i) {
			return resume, true
		}
		i += size - 1
	}
	return resume, false
}

// cutTail cuts off the rest of a write that a crash tore.
func (o *opener) cutTail(s *segment, rest int) error {
	o.log.Warn("log ends in a write that was never finished, it is cut off", "file", filepath.Base(s.path), "byte", s.size, "bytes", rest)
	if err := s.file.Truncate(s.size); err != nil {
		return fmt.Errorf("cannot cut the end of log segment %s: %w", s.path, err)
	}
	return s.file.sync()
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
	if want := s.next(f.partition); f.offset > want && s.gaps {
		s.gap(f.partition, f.offset)
	} else if f.offset != want {
		return fmt.Errorf("log segment %s is damaged at byte %d: offset %d of partition %d follows %d", s.path, pos, f.offset, f.partition, want-1)
	}
	s.add(f.partition, pos, size)
	if s.newest = f.time; s.oldest.IsZero() {
		s.oldest = f.time
	}
	return nil
}
