package clickhouse

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

func (s *Store) writeSeries(ctx context.Context, b *store.Batch) error {
	for part := range slices.Chunk(b.Series, maxInsertRows/8) {
		var tenants, names proto.ColStr
		var first, last proto.ColInt32
		var has proto.ColUInt8
		var k keyColumns
		lc := newLabelsColumn()
		for i := range part {
			r := &part[i]
			tenants.Append(r.Tenant)
			names.Append(r.Labels.Get(labels.MetricName))
			k.append(r.Key)
			lc.append(r.Labels)
			first.Append(clampDay(dayOf(r.MinMs)))
			last.Append(clampDay(dayOf(r.MaxMs)))
			has.Append(uint8(r.Has))
		}
		err := s.insert(ctx, "series", proto.Input{
			{Name: "tenant", Data: &tenants}, {Name: "name", Data: &names},
			{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "labels", Data: lc},
			{Name: "first_day", Data: &first}, {Name: "last_day", Data: &last}, {Name: "has", Data: &has},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type keyColumns struct {
	metrics proto.ColUInt32
	ids     proto.ColUInt64
}

func (c *keyColumns) append(k store.Key) {
	c.metrics.Append(k.Metric)
	c.ids.Append(k.ID)
}

func (s *Store) writeStarts(ctx context.Context, b *store.Batch) error {
	if len(b.Starts) == 0 {
		return nil
	}
	var k keyColumns
	var times, starts proto.ColInt64
	for _, r := range b.Starts {
		k.append(r.Key)
		times.Append(r.TimeMs)
		starts.Append(r.StartMs)
	}
	return s.insert(ctx, "starts", proto.Input{
		{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times}, {Name: "start", Data: &starts},
	})
}

func (s *Store) writeHistograms(ctx context.Context, b *store.Batch) error {
	return byDay(b.Histograms, func(h *store.Histogram) int64 { return h.TimeMs }, func(part []store.Histogram) error {
		var k keyColumns
		var times proto.ColInt64
		var hashes proto.ColUInt64
		var counts, sums proto.ColFloat64
		var blobs proto.ColStr
		for i := range part {
			r := &part[i]
			k.append(r.Key)
			times.Append(r.TimeMs)
			hashes.Append(xxhash.Sum64(r.Blob))
			counts.Append(r.Count)
			sums.Append(r.Sum)
			blobs.AppendBytes(r.Blob)
		}
		return s.insert(ctx, "histograms", withClass(b.Class, proto.Input{
			{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times}, {Name: "hash", Data: &hashes},
			{Name: "count", Data: &counts}, {Name: "sum", Data: &sums}, {Name: "blob", Data: &blobs},
		}))
	})
}

func (s *Store) writeExemplars(ctx context.Context, b *store.Batch) error {
	return byDay(b.Exemplars, func(e *store.Exemplar) int64 { return e.TimeMs }, func(part []store.Exemplar) error {
		var k keyColumns
		var times proto.ColInt64
		var hashes proto.ColUInt64
		var values proto.ColFloat64
		lc := newLabelsColumn()
		var buf []byte
		for i := range part {
			r := &part[i]
			k.append(r.Key)
			times.Append(r.TimeMs)
			values.Append(r.Value)
			lc.append(r.Labels)
			buf = appendExemplarIdentity(buf[:0], r)
			hashes.Append(xxhash.Sum64(buf))
		}
		return s.insert(ctx, "exemplars", withClass(b.Class, proto.Input{
			{Name: "metric", Data: &k.metrics}, {Name: "id", Data: &k.ids}, {Name: "ts", Data: &times}, {Name: "hash", Data: &hashes},
			{Name: "value", Data: &values}, {Name: "labels", Data: lc},
		}))
	})
}

// appendExemplarIdentity appends what tells exemplars of one series and time apart.
func appendExemplarIdentity(dst []byte, e *store.Exemplar) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.Value))
	e.Labels.Range(func(l labels.Label) {
		for _, v := range [...]string{l.Name, l.Value} {
			dst = binary.AppendUvarint(dst, uint64(len(v)))
			dst = append(dst, v...)
		}
	})
	return dst
}

func (s *Store) writeMetadata(ctx context.Context, b *store.Batch) error {
	if len(b.Metadata) == 0 {
		return nil
	}
	// The rows of one insert are seen at one time, so the last of each metric is chosen here.
	type metric struct{ tenant, name string }
	last := map[metric]int{}
	for i, m := range b.Metadata {
		last[metric{m.Tenant, m.Name}] = i
	}
	var tenants, names, types, helps, units proto.ColStr
	for i, m := range b.Metadata {
		if last[metric{m.Tenant, m.Name}] != i {
			continue
		}
		tenants.Append(m.Tenant)
		names.Append(m.Name)
		types.Append(m.Type)
		helps.Append(m.Help)
		units.Append(m.Unit)
	}
	return s.insert(ctx, "metric_metadata", proto.Input{
		{Name: "tenant", Data: &tenants}, {Name: "name", Data: &names}, {Name: "type", Data: &types},
		{Name: "help", Data: &helps}, {Name: "unit", Data: &units},
	})
}

func (s *Store) writeProgress(ctx context.Context, b *store.Batch) error {
	if len(b.Progress) == 0 {
		return nil
	}
	var topics, generations proto.ColStr
	var partitions proto.ColInt32
	var offsets, times proto.ColInt64
	for _, p := range b.Progress {
		topics.Append(p.Topic)
		generations.Append(p.Generation)
		partitions.Append(p.Partition)
		offsets.Append(p.NextOffset)
		times.Append(p.MaxMs)
	}
	return s.insert(ctx, "ingest_progress", proto.Input{
		{Name: "topic", Data: &topics}, {Name: "generation", Data: &generations}, {Name: "partition", Data: &partitions},
		{Name: "next_offset", Data: &offsets}, {Name: "max_ms", Data: &times},
	})
}

// byDay calls f with the rows of each day. Rows of one day, the usual case, are passed on as they are.
func byDay[T any](rows []T, timeMs func(*T) int64, f func([]T) error) error {
	if len(rows) == 0 {
		return nil
	}
	day := func(r *T) int64 { return dayOf(timeMs(r)) }
	first := day(&rows[0])
	if !slices.ContainsFunc(rows, func(r T) bool { return day(&r) != first }) {
		return f(rows)
	}
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(day(&a), day(&b)) })
	for begin := 0; begin < len(sorted); {
		end := begin + 1
		for end < len(sorted) && day(&sorted[end]) == day(&sorted[begin]) {
			end++
		}
		if err := f(sorted[begin:end]); err != nil {
			return err
		}
		begin = end
	}
	return nil
}
