package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

const topic = "topic"

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.SegmentBytes = 64 << 10
	cfg.MaxBytes = 64 << 20
	return cfg
}

func open(t testing.TB, dir string, cfg Config) *Log {
	t.Helper()
	l, err := Open(dir, cfg, Options{Topic: topic, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func value(partition int32, i int) string {
	return fmt.Sprintf("record %d of partition %d", i, partition)
}

// put appends n records to each partition, values numbered from first.
func put(t testing.TB, l *Log, first, n int) {
	t.Helper()
	p := l.Producer()
	for i := range n {
		var ms []*sarama.ProducerMessage
		for partition := range int32(l.Partitions()) {
			ms = append(ms, &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(value(partition, first+i))})
		}
		if err := p.SendMessages(ms); err != nil {
			t.Fatal(err)
		}
	}
}

// values reads a partition to its end.
func values(t testing.TB, l *Log, partition int32) []string {
	t.Helper()
	var got []string
	for offset := int64(0); ; {
		m, _, err := l.read(partition, offset)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			return got
		}
		got = append(got, string(m.Value))
		offset = m.Offset + 1
	}
}

func checkValues(t testing.TB, l *Log, n int) {
	t.Helper()
	for p := range int32(l.Partitions()) {
		got := values(t, l, p)
		if len(got) != n {
			t.Fatalf("partition %d has %d records, want %d", p, len(got), n)
		}
		for i, v := range got {
			if v != value(p, i) {
				t.Fatalf("record %d of partition %d is %q", i, p, v)
			}
		}
	}
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRecordsSurviveReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "log")
	l := open(t, dir, testConfig())
	put(t, l, 0, 500)
	checkValues(t, l, 500)
	closeLog(t, l)
	if n := len(segmentFiles(t, dir)); n < 2 {
		t.Errorf("%d segments, want several", n)
	}
	l = open(t, dir, testConfig())
	checkValues(t, l, 500)
	put(t, l, 500, 100)
	checkValues(t, l, 600)
}

func TestEverythingOfAMessageSurvives(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	at := time.UnixMilli(1_700_000_000_123)
	sent := &sarama.ProducerMessage{
		Topic: topic, Partition: 2, Timestamp: at, Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder("value"),
		Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b")}},
	}
	p, offset, err := l.Producer().SendMessage(sent)
	if err != nil || p != 2 || offset != 0 {
		t.Fatalf("got partition %d, offset %d, %v", p, offset, err)
	}
	m, _, err := l.read(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Key) != "key" || string(m.Value) != "value" || !m.Timestamp.Equal(at) || m.Topic != topic || len(m.Headers) != 2 ||
		string(m.Headers[0].Value) != "1" || m.Headers[1].Value != nil {
		t.Errorf("got %+v", m)
	}
}

func TestWhatCannotBeAppended(t *testing.T) {
	l := open(t, t.TempDir(), testConfig())
	for _, c := range []struct {
		message sarama.ProducerMessage
		want    error
	}{
		{sarama.ProducerMessage{Topic: "other"}, sarama.ErrUnknownTopicOrPartition},
		{sarama.ProducerMessage{Topic: topic, Partition: 4}, sarama.ErrInvalidPartition},
		{sarama.ProducerMessage{Topic: topic, Partition: -1}, sarama.ErrInvalidPartition},
	} {
		if _, _, err := l.Producer().SendMessage(&c.message); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", &c.message, err, c.want)
		}
	}
	closeLog(t, l)
	err := l.Producer().SendMessages([]*sarama.ProducerMessage{{Topic: topic}})
	var failed sarama.ProducerErrors
	if !errors.As(err, &failed) || len(failed) != 1 || !errors.Is(failed[0].Err, ErrClosed) {
		t.Errorf("a closed log answered %v", err)
	}
}

func TestPartitionsOfAnExistingLogStay(t *testing.T) {
	dir := t.TempDir()
	closeLog(t, open(t, dir, testConfig()))
	l, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Partitions() != 4 {
		t.Errorf("got %d partitions, want the 4 that it has", l.Partitions())
	}
	closeLog(t, l)
	if _, err := Open(dir, testConfig(), Options{Topic: "other", Partitions: 4}); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("got %v, want an error about the topic", err)
	}
}

func TestAFolderIsOpenOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	_, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want an error that names the folder and the process", err)
	}
	closeLog(t, l)
	open(t, dir, testConfig())
}

func TestConcurrentProducersKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, testConfig())
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				m := &sarama.ProducerMessage{Topic: topic, Partition: int32(w % 4), Value: sarama.StringEncoder(fmt.Sprintf("%d %d", w, i))}
				p, offset, err := l.Producer().SendMessage(m)
				if err != nil {
					t.Error(err)
					return
				}
				if got, _, err := l.read(p, offset); err != nil || got == nil || got.Offset != offset || string(got.Value) != fmt.Sprintf("%d %d", w, i) {
					t.Errorf("writer %d, record %d: read %v, %v", w, i, got, err)
				}
			}
		})
	}
	wg.Wait()
	closeLog(t, l)
	l = open(t, dir, testConfig())
	next := make([]int, writers)
	for p := range int32(4) {
		for _, v := range values(t, l, p) {
			var w, i int
			fmt.Sscanf(v, "%d %d", &w, &i)
			if i != next[w] {
				t.Fatalf("writer %d: record %d where %d was due", w, i, next[w])
			}
			next[w]++
		}
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d has %d records, want %d", w, n, each)
		}
	}
}

// faulty is a file on a disk with faults.
type faulty struct {
	file
	writeErr, syncErr, truncateErr error
	written                        int // bytes that a failing write writes all the same
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if f.writeErr == nil {
		return f.file.WriteAt(b, at)
	}
	n, _ := f.file.WriteAt(b[:min(f.written, len(b))], at)
	return n, f.writeErr
}

func (f *faulty) sync() error {
	if f.syncErr != nil {
		return f.syncErr
	}
	return f.file.sync()
}

func (f *faulty) Truncate(size int64) error {
	if f.truncateErr != nil {
		return f.truncateErr
	}
	return f.file.Truncate(size)
}

func TestAFullDiskFailsTheWriteAndRecovers(t *testing.T) {
	for name, fault := range map[string]faulty{
		"write":              {writeErr: syscall.ENOSPC, written: 30},
		"sync":               {syncErr: syscall.ENOSPC},
		"write and truncate": {writeErr: syscall.EIO, written: 30, truncateErr: syscall.EIO},
		"sync and truncate":  {syncErr: syscall.EIO, truncateErr: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, testConfig())
			put(t, l, 0, 3)
			active := l.segments[len(l.segments)-1]
			healthy := active.file
			fault.file = healthy
			active.file = &fault
			for range 2 {
				_, _, err := l.Producer().SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("lost")})
				if err == nil {
					t.Fatal("a write on a faulty disk succeeded")
				}
			}
			checkValues(t, l, 3)
			active.file = healthy
			put(t, l, 3, 2)
			checkValues(t, l, 5)
			closeLog(t, l)
			checkValues(t, open(t, dir, testConfig()), 5)
		})
	}
}
