package kafka

import (
	"github.com/cespare/xxhash/v2"

	"github.com/metricstream/metricstream/store"
)

// split appends each row of b to the batch of its partition. Rows of a series go to the partition of its key,
// metadata to one that tenant and metric name choose.
func split(parts []store.Batch, b *store.Batch) {
	n := len(parts)
	for i := range parts {
		parts[i].Class = b.Class
	}
	for i := range b.Series {
		part := &parts[b.Series[i].Key.Partition(n)]
		part.Series = append(part.Series, b.Series[i])
	}
	for i, id := range b.Samples.IDs {
		k := store.Key{Metric: b.Samples.Metrics[i], ID: id}
		d := store.Decimal{Exp: b.Samples.Exps[i], Mant: b.Samples.Mants[i]}
		parts[k.Partition(n)].Samples.Append(k, b.Samples.TimesMs[i], d)
	}
	for _, s := range b.Starts {
		part := &parts[s.Key.Partition(n)]
		part.Starts = append(part.Starts, s)
	}
	for i := range b.Histograms {
		part := &parts[b.Histograms[i].Key.Partition(n)]
		part.Histograms = append(part.Histograms, b.Histograms[i])
	}
	for i := range b.Exemplars {
		part := &parts[b.Exemplars[i].Key.Partition(n)]
		part.Exemplars = append(part.Exemplars, b.Exemplars[i])
	}
	for i := range b.Metadata {
		m := &b.Metadata[i]
		part := &parts[xxhash.Sum64String(m.Tenant+"\x00"+m.Name)%uint64(n)]
		part.Metadata = append(part.Metadata, *m)
	}
}

// halves returns two views of the batch that together are the whole; label sets stay before the samples. It
// reports false for a batch of one row.
func halves(b *store.Batch) (first, second store.Batch, ok bool) {
	left := rows(b) / 2
	if left == 0 {
		return first, second, false
	}
	first.Class, second.Class = b.Class, b.Class
	first.Series, second.Series = cut(b.Series, &left)
	n := min(left, b.Samples.Len())
	left -= n
	first.Samples, second.Samples = cutSamples(&b.Samples, n)
	first.Starts, second.Starts = cut(b.Starts, &left)
	first.Histograms, second.Histograms = cut(b.Histograms, &left)
	first.Exemplars, second.Exemplars = cut(b.Exemplars, &left)
	first.Metadata, second.Metadata = cut(b.Metadata, &left)
	return first, second, true
}

// cut takes at most left rows into the first part.
func cut[T any](rows []T, left *int) (first, second []T) {
	n := min(*left, len(rows))
	*left -= n
	return rows[:n], rows[n:]
}

func cutSamples(s *store.Samples, n int) (first, second store.Samples) {
	return store.Samples{Metrics: s.Metrics[:n], IDs: s.IDs[:n], TimesMs: s.TimesMs[:n], Exps: s.Exps[:n], Mants: s.Mants[:n]},
		store.Samples{Metrics: s.Metrics[n:], IDs: s.IDs[n:], TimesMs: s.TimesMs[n:], Exps: s.Exps[n:], Mants: s.Mants[n:]}
}

// rows counts the rows of a batch.
func rows(b *store.Batch) int {
	return len(b.Series) + b.Samples.Len() + len(b.Starts) + len(b.Histograms) + len(b.Exemplars) + len(b.Metadata)
}
