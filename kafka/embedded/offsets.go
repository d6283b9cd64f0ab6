package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"github.com/metricstream/metricstream/internal/failpoint"
)

// offsets are the committed offsets of all groups. They are a small log of their own: each entry is a length
// and a crc32c of 4 bytes each, then the group framed by its length, the partition and the offset as varints.
// The last entry of a group and partition counts. At open, and when it has grown, it is written anew.
type offsets struct {
	mu   sync.Mutex
	dir  string
	file file
	size int64
	all  map[string]map[int32]int64
}

// compactBytes is the size at which the file is written anew.
const compactBytes = 1 << 20

const offsetsName = "offsets"

func openOffsets(dir string) (*offsets, error) {
	o, err := readOffsets(dir)
	if err != nil {
		return nil, err
	}
	if err := o.compact(); err != nil {
		return nil, err
	}
	return o, nil
}

// readOffsets reads the file and opens nothing.
func readOffsets(dir string) (*offsets, error) {
	o := &offsets{dir: dir, all: make(map[string]map[int32]int64)}
	buf, err := os.ReadFile(filepath.Join(dir, offsetsName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read committed offsets: %w", err)
	}
	// What cannot be read at the end was never acknowledged, and an older offset only repeats records.
	for len(buf) >= 8 {
		size := int64(binary.LittleEndian.Uint32(buf)) + 8
		if size > int64(len(buf)) || crc32.Checksum(buf[8:size], castagnoli) != binary.LittleEndian.Uint32(buf[4:]) {
			break
		}
		o.load(buf[8:size])
		buf = buf[size:]
	}
	return o, nil
}

func (o *offsets) load(entry []byte) {
	group, rest, ok := takeBytes(entry)
	partition, n := binary.Uvarint(rest)
	if !ok || n <= 0 {
		return
	}
	if offset, n := binary.Uvarint(rest[n:]); n > 0 {
		o.set(string(group), int32(partition), int64(offset))
	}
}

func (o *offsets) set(group string, partition int32, offset int64) {
	if o.all[group] == nil {
		o.all[group] = make(map[int32]int64)
	}
	o.all[group][partition] = offset
}

func appendOffset(dst []byte, group string, partition int32, offset int64) []byte {
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = appendBytes(dst, []byte(group))
	dst = binary.AppendUvarint(dst, uint64(partition))
	dst = binary.AppendUvarint(dst, uint64(offset))
	binary.LittleEndian.PutUint32(dst[begin:], uint32(len(dst)-begin-8))
	binary.LittleEndian.PutUint32(dst[begin+4:], crc32.Checksum(dst[begin+8:], castagnoli))
	return dst
}

// compact writes the offsets to a new file, which takes the place of the old one.
func (o *offsets) compact() error {
	var buf []byte
	for group, partitions := range o.all {
		for p, offset := range partitions {
			buf = appendOffset(buf, group, p, offset)
		}
	}
	path := filepath.Join(o.dir, offsetsName)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("cannot write committed offsets: %w", err)
	}
	if _, err = f.WriteAt(buf, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		failpoint.Hit("offsets/before-rename")
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(o.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write committed offsets: %w", err), f.Close())
	}
	if o.file != nil {
		err = o.file.Close()
	}
	o.file, o.size = diskFile{f}, int64(len(buf))
	return err
}

// commit makes the offsets of a group durable.
func (o *offsets) commit(group string, partitions map[int32]int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var buf []byte
	for p, offset := range partitions {
		buf = appendOffset(buf, group, p, offset)
	}
	failpoint.Do("offsets/torn", func() { _, _ = o.file.WriteAt(buf[:len(buf)/2], o.size) })
	if _, err := o.file.WriteAt(buf, o.size); err != nil {
		return fmt.Errorf("cannot write committed offsets: %w", err)
	}
	failpoint.Hit("offsets/written")
	if err := o.file.sync(); err != nil {
		return fmt.Errorf("cannot write committed offsets: %w", err)
	}
	o.size += int64(len(buf))
	for p, offset := range partitions {
		o.set(group, p, offset)
	}
	if o.size > compactBytes {
		return o.compact()
	}
	return nil
}

// committed returns a group's offset, -1 where it has none.
func (o *offsets) committed(group string, partition int32) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if offset, ok := o.all[group][partition]; ok {
		return offset
	}
	return -1
}

// most returns the highest offset that any group has committed of the partition.
func (o *offsets) most(partition int32) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	most := int64(0)
	for _, partitions := range o.all {
		most = max(most, partitions[partition])
	}
	return most
}

// least returns the offset before which all the groups have committed the partition, 0 where there is no group.
func (o *offsets) least(groups map[string]*group, partition int32) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	least := int64(-1)
	for name := range groups {
		if offset := o.all[name][partition]; least < 0 || offset < least {
			least = offset
		}
	}
	return max(least, 0)
}

func (o *offsets) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
