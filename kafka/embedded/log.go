// Package embedded owns a durable log in one process: what Kafka is to a cluster, a folder is to one machine.
// It implements sarama's SyncProducer and ConsumerGroup, so that the code above it is the same. All partitions
// share one physical append log, and concurrent producers share one fsync. README.md describes the files.
// Creating the folder's parent and choosing the retention are left to the caller.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrClosed is what a closed log answers.
var ErrClosed = errors.New("the log is closed")

// ErrFull is in the chain of the errors of writes that max_bytes refuses.
var ErrFull = errors.New("the log is full of records that no consumer has committed")

// Log is one topic with its partitions, and the groups that consume it. Its methods may be called from several
// goroutines at once.
type Log struct {
	dir     string
	cfg     Config
	opts    Options
	logger  *slog.Logger
	lock    *os.File
	offsets *offsets
	queue   commitQueue
	metrics *logMetrics

	generation string

	// mu guards what follows. Only the leader of the commit queue adds; it alone writes to the last segment.
	mu       sync.RWMutex
	closed   bool
	segments []*segment
	next     []int64
	arrivals []chan struct{} // closed when the partition gets a record; nil when nobody waits
	groups   map[string]*group
}

// Open opens the log in a folder, which is created where there is none. What a crash left unfinished at the
// end is cut off; damage anywhere else is an error that names the file and the place. A folder is open once.
func Open(dir string, cfg Config, opts Options) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Topic == "" || opts.Partitions <= 0 {
		return nil, fmt.Errorf("cannot open log %s: it needs a topic and at least one partition, got %q and %d", dir, opts.Topic, opts.Partitions)
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("cannot create log folder: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, cfg: cfg, opts: opts, logger: opts.Logger, lock: lock, groups: make(map[string]*group)}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if err := l.recover(); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	l.arrivals = make([]chan struct{}, len(l.next))
	l.metrics = newLogMetrics(opts.Registerer, l)
	return l, nil
}

// recover reads the segments and the committed offsets.
func (l *Log) recover() error {
	seqs, err := segmentSeqs(l.dir)
	if err != nil {
		return err
	}
	if l.generation, err = openGeneration(l.dir); err != nil {
		return err
	}
	o := opener{dir: l.dir, topic: l.opts.Topic, skip: l.cfg.SkipCorrupt, log: l.logger}
	for i, seq := range seqs {
		s, err := o.open(seq, i == len(seqs)-1, l.next)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		l.segments = append(l.segments, s)
		if err := l.follow(s); err != nil {
			return err
		}
	}
	if l.offsets, err = openOffsets(l.dir); err != nil {
		return err
	}
	if l.next == nil {
		l.next = make([]int64, l.opts.Partitions)
	}
	if raised := l.raise(); raised || len(l.segments) == 0 {
		return l.roll()
	}
	return nil
}

// raise moves the next offsets behind what the groups have committed, and tells whether there was any need: an
// offset that was committed must never be given to another record, also when the segment that had it is gone.
func (l *Log) raise() bool {
	raised := false
	for p := range l.next {
		if most := l.offsets.most(int32(p)); most > l.next[p] {
			l.logger.Error("records are missing from the end of the log", "partition", p, "from_offset", l.next[p], "to_offset", most)
			l.next[p], raised = most, true
		}
	}
	return raised
}

// follow takes the segment's offsets as the log's.
func (l *Log) follow(s *segment) error {
	if l.next == nil {
		l.next = make([]int64, len(s.first))
	}
	if len(s.first) != len(l.next) {
		return fmt.Errorf("log segment %s has %d partitions, those before it have %d", s.path, len(s.first), len(l.next))
	}
	for p, first := range s.first {
		if l.next[p] > first {
			return fmt.Errorf("log segment %s begins with offset %d of partition %d, the one before ends with %d", s.path, first, p, l.next[p])
		}
		if l.next[p] < first && len(l.segments) > 1 {
			l.logger.Error("records are missing from the log", "partition", p, "from_offset", l.next[p], "to_offset", first, "before_file", s.path)
		}
		l.next[p] = s.next(int32(p))
	}
	return nil
}

// roll begins a new segment.
func (l *Log) roll() error {
	seq := uint64(1)
	if n := len(l.segments); n > 0 {
		seq = l.segments[n-1].seq + 1
	}
	s, err := createSegment(l.dir, seq, l.opts.Topic, l.next)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	return nil
}

// Partitions returns the number of partitions.
func (l *Log) Partitions() int { return len(l.next) }

// Close ends all consumers and refuses further writes. It waits for the write in flight.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	groups := l.groups
	l.groups = nil
	l.mu.Unlock()
	for _, g := range groups {
		g.close()
	}
	l.queue.close()
	l.metrics.unregister()
	return l.closeFiles()
}

func (l *Log) closeFiles() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.segments {
		errs = append(errs, s.file.Close())
	}
	l.segments = nil
	if l.offsets != nil {
		errs = append(errs, l.offsets.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// logMetrics are the log's own.
type logMetrics struct {
	registerer prometheus.Registerer
	all        []prometheus.Collector
	groupBytes prometheus.Histogram
	syncTime   prometheus.Histogram
	refused    prometheus.Counter
}

func newLogMetrics(r prometheus.Registerer, l *Log) *logMetrics {
	labels := prometheus.Labels{"topic": l.opts.Topic}
	m := &logMetrics{
		registerer: r,
		groupBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_log_commit_bytes", Help: "Bytes written by one group commit of the embedded log.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(1024, 4, 8),
		}),
		syncTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "metricstream_log_commit_seconds", Help: "Time that one group commit of the embedded log took, fsync included.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metricstream_log_refused_total", Help: "Group commits that the embedded log refused or could not write.",
			ConstLabels: labels,
		}),
	}
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_log_size_bytes", Help: "Size of the embedded log's segments.", ConstLabels: labels,
	}, func() float64 { return float64(l.size()) })
	damaged := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "metricstream_log_damaged_bytes", Help: "Damaged bytes of the embedded log that were passed over when it was opened (kafka.embedded.skip_corrupt).",
		ConstLabels: labels,
	}, func() float64 { return float64(l.skipped()) })
	m.all = []prometheus.Collector{m.groupBytes, m.syncTime, m.refused, size, damaged}
	if r != nil {
		r.MustRegister(m.all...)
	}
	return m
}

func (m *logMetrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}
