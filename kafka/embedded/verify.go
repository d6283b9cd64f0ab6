package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Report is what [Verify] found in a folder.
type Report struct {
	Dir      string
	Segments []SegmentReport

	// Missing are the offsets of which there is no record between the first and the last of a partition.
	Missing []OffsetRange

	// Committed are the next offsets that the consumer groups have committed, by group and partition.
	Committed map[string]map[int32]int64
}

// Corrupt reports whether acknowledged records are damaged or missing. A torn tail is not that: the log was
// killed in the middle of a write, which it had not acknowledged.
func (r *Report) Corrupt() bool {
	return len(r.Missing) > 0 || slices.ContainsFunc(r.Segments, func(s SegmentReport) bool { return len(s.Damage) > 0 })
}

// SegmentReport is what Verify found in one file.
type SegmentReport struct {
	Path  string
	Topic string
	Bytes int64

	// Records is the number of intact frames, Offsets where they are; partitions without a frame are left out.
	Records int
	Offsets []OffsetRange

	// TornBytes at the end of the last segment are what the next start will cut off.
	TornBytes int64

	// Damage is what is neither intact nor a torn end.
	Damage []Damage
}

// OffsetRange is the offsets of a partition from From to before To.
type OffsetRange struct {
	Partition int32
	From, To  int64
}

// Damage is a place in a file.
type Damage struct {
	Byte, Bytes int64
	Reason      string
}

// Verify reads every frame of the log in a folder. It writes nothing. It holds the folder against being opened
// meanwhile, and refuses one that a process has open, because what is being written now would look torn.
func Verify(dir string) (*Report, error) {
	unlock, err := lockShared(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	seqs, err := segmentSeqs(dir)
	if err != nil {
		return nil, err
	}
	if len(seqs) == 0 {
		return nil, fmt.Errorf("cannot verify log folder %s: it has no segments", dir)
	}
	v := verifier{report: &Report{Dir: dir}, next: map[int32]int64{}}
	for i, seq := range seqs {
		if err := v.segment(segmentPath(dir, seq), i == len(seqs)-1); err != nil {
			return nil, err
		}
	}
	o, err := readOffsets(dir)
	if err != nil {
		return nil, err
	}
	v.report.Committed = o.all
	return v.report, nil
}

// verifier goes through the segments in order.
type verifier struct {
	report *Report

	// next is the offset after the last one that was seen or promised, of each partition that has been seen.
	next map[int32]int64
}

func (v *verifier) segment(path string, last bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read log segment: %w", err)
	}
	s := SegmentReport{Path: path, Bytes: int64(len(data))}
	topic, next, pos, err := parseSegmentHeader(data)
	switch {
	case err == nil:
		s.Topic = topic
		for p, offset := range next {
			if before := v.next[int32(p)]; offset < before {
				s.Damage = append(s.Damage, Damage{0, int64(pos), fmt.Sprintf("the header begins partition %d with offset %d, which was reached before: %d", p, offset, before)})
			}
			v.reach(int32(p), offset)
		}
	case errors.Is(err, errSegmentHeader):
		pos = v.damage(&s, data, 0, last, err)
	default: // another version: its frames are another program's to read
		s.Damage = append(s.Damage, Damage{0, s.Bytes, err.Error()})
		pos = len(data)
	}
	v.frames(&s, data, pos, last)
	v.report.Segments = append(v.report.Segments, s)
	return nil
}

func (v *verifier) frames(s *SegmentReport, data []byte, pos int, last bool) {
	ranges := map[int32]*OffsetRange{}
	for pos < len(data) {
		f, size, err := parseFrame(data[pos:])
		if err == nil {
			err = v.check(&f)
		}
		if err != nil {
			pos = v.damage(s, data, pos, last, err)
			continue
		}
		r := ranges[f.partition]
		if r == nil {
			r = &OffsetRange{Partition: f.partition, From: f.offset}
			ranges[f.partition] = r
		}
		r.To = f.offset + 1
		s.Records++
		pos += size
	}
	for _, r := range ranges {
		s.Offsets = append(s.Offsets, *r)
	}
	slices.SortFunc(s.Offsets, func(a, b OffsetRange) int { return int(a.Partition - b.Partition) })
}

// check follows the offsets of a frame's partition, and reads what is in the frame.
func (v *verifier) check(f *frame) error {
	if next, ok := v.next[f.partition]; ok && f.offset < next {
		return fmt.Errorf("offset %d of partition %d follows %d", f.offset, f.partition, next-1)
	}
	if _, err := f.message(""); err != nil {
		return err
	}
	v.reach(f.partition, f.offset)
	v.next[f.partition] = f.offset + 1
	return nil
}

// reach notes the offsets that are left out before this one. The first that is seen of a partition begins it.
func (v *verifier) reach(partition int32, offset int64) {
	next, ok := v.next[partition]
	if ok && offset > next {
		v.report.Missing = append(v.report.Missing, OffsetRange{partition, next, offset})
	}
	if !ok || offset > next {
		v.next[partition] = offset
	}
}

// damage notes damage at pos and returns where to go on.
func (v *verifier) damage(s *SegmentReport, data []byte, pos int, last bool, cause error) int {
	resume, later := resync(data[pos:])
	if last && !later {
		s.TornBytes = int64(len(data) - pos)
		return len(data)
	}
	s.Damage = append(s.Damage, Damage{int64(pos), int64(resume), cause.Error()})
	return pos + resume
}

// lockShared keeps others from opening the folder until unlock is called.
func lockShared(dir string) (unlock func(), err error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) { // a copy, perhaps
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock log folder: %w", err)
	}
	if err := flock(f, dir, sharedLock); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // it was only read
}
