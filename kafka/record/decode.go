package record

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/store"
)

// Decoder decodes records. Its memory is kept between them. The zero value is ready; it may not be used by
// several goroutines at once.
type Decoder struct {
	symbols []string
	builder labels.ScratchBuilder
}

// Decode appends the rows of a record to dst, which keeps nothing of data, and sets dst's class to the record's: who
// collects several records in one batch has to look at [Class] first. On an error, which is a *[VersionError] or has
// [ErrCorrupt] in its chain, dst is as it was.
func (d *Decoder) Decode(dst *store.Batch, data []byte) error {
	if len(data) == 0 {
		return corrupt("it is empty")
	}
	r := reader{buf: data[1:]}
	switch data[0] {
	case version:
	case versionClass:
		if class := r.byte(); class == 0 && r.err == nil {
			r.fail("class 0 has version %d", version)
		}
	default:
		return &VersionError{Version: data[0]}
	}
	before := lengthsOf(dst)
	d.decodeSymbols(&r)
	d.decodeSeries(&r, dst)
	r.decodeSamples(&dst.Samples)
	r.decodeStarts(dst)
	r.decodeHistograms(dst)
	d.decodeExemplars(&r, dst)
	d.decodeMetadata(&r, dst)
	clear(d.symbols)
	if r.err == nil && len(r.buf) > 0 {
		r.fail("%d bytes are left over", len(r.buf))
	}
	if r.err != nil {
		before.restore(dst)
		return r.err
	}
	dst.Class = Class(data)
	return nil
}

// decodeSymbols reads the string table. All strings are parts of one, so that they cost one allocation.
func (d *Decoder) decodeSymbols(r *reader) {
	n := r.count(1)
	sizes := *r // read a second time when the text is at hand
	total := 0
	for range n {
		size := r.uvarint()
		if size > uint64(len(r.buf)) || total+int(size) > len(r.buf) {
			r.fail("strings of more than %d bytes in %d", total, len(r.buf))
			return
		}
		total += int(size)
	}
	text := string(r.bytes(total))
	d.symbols = d.symbols[:0]
	if r.err != nil {
		return
	}
	for range n {
		size := sizes.uvarint()
		d.symbols = append(d.symbols, text[:size])
		text = text[size:]
	}
}

func (d *Decoder) symbol(r *reader) string {
	ref := r.uvarint()
	if r.err != nil {
		return ""
	}
	if ref >= uint64(len(d.symbols)) {
		r.fail("string %d of %d", ref, len(d.symbols))
		return ""
	}
	return d.symbols[ref]
}

func (d *Decoder) decodeSeries(r *reader, dst *store.Batch) {
	var lastMs int64
	for n := r.count(keyBytes + 5); n > 0 && r.err == nil; n-- {
		s := store.Series{Tenant: d.symbol(r), Key: r.key()}
		s.MinMs = lastMs + r.varint()
		s.MaxMs = s.MinMs + r.varint()
		lastMs = s.MinMs
		s.Has = store.Has(r.byte())
		s.Labels = d.labels(r)
		dst.Series = append(dst.Series, s)
	}
}

// labels reads a label set. Names must ascend: what reads label sets relies on it.
func (d *Decoder) labels(r *reader) labels.Labels {
	d.builder.Reset()
	last := ""
	for n := r.count(2); n > 0 && r.err == nil; n-- {
		name, value := d.symbol(r), d.symbol(r)
		if name <= last && r.err == nil {
			r.fail("label %q after label %q", name, last)
		}
		last = name
		d.builder.Add(name, value)
	}
	if r.err != nil {
		return labels.EmptyLabels()
	}
	return d.builder.Labels()
}

func (r *reader) decodeStarts(dst *store.Batch) {
	var lastMs int64
	for n := r.count(keyBytes + 2); n > 0 && r.err == nil; n-- {
		s := store.Start{Key: r.key()}
		s.TimeMs = lastMs + r.varint()
		s.StartMs = r.varint()
		lastMs = s.TimeMs
		dst.Starts = append(dst.Starts, s)
	}
}

// decodeHistograms reads the histograms. Their blobs are parts of one slice.
func (r *reader) decodeHistograms(dst *store.Batch) {
	n := r.count(keyBytes + 18)
	if n == 0 {
		return
	}
	blobs := make([]byte, 0, len(r.buf)-n*(keyBytes+18))
	var lastMs int64
	for ; n > 0 && r.err == nil; n-- {
		h := store.Histogram{Key: r.key()}
		h.TimeMs = lastMs + r.varint()
		lastMs = h.TimeMs
		h.Count, h.Sum = r.float(), r.float()
		begin := len(blobs)
		blobs = append(blobs, r.bytes(r.count(1))...)
		h.Blob = blobs[begin:len(blobs):len(blobs)]
		dst.Histograms = append(dst.Histograms, h)
	}
}

func (d *Decoder) decodeExemplars(r *reader, dst *store.Batch) {
	var lastMs int64
	for n := r.count(keyBytes + 10); n > 0 && r.err == nil; n-- {
		x := store.Exemplar{Key: r.key()}
		x.TimeMs = lastMs + r.varint()
		lastMs = x.TimeMs
		x.Value = r.float()
		x.Labels = d.labels(r)
		dst.Exemplars = append(dst.Exemplars, x)
	}
}

func (d *Decoder) decodeMetadata(r *reader, dst *store.Batch) {
	for n := r.count(5); n > 0 && r.err == nil; n-- {
		dst.Metadata = append(dst.Metadata, store.Metadata{
			Tenant: d.symbol(r), Name: d.symbol(r), Type: d.symbol(r), Help: d.symbol(r), Unit: d.symbol(r),
		})
	}
}

// lengths remembers how much a batch holds.
type lengths struct{ series, samples, starts, histograms, exemplars, metadata int }

func lengthsOf(b *store.Batch) lengths {
	return lengths{len(b.Series), b.Samples.Len(), len(b.Starts), len(b.Histograms), len(b.Exemplars), len(b.Metadata)}
}

// restore takes away what was appended since.
func (l lengths) restore(b *store.Batch) {
	s := &b.Samples
	s.Metrics, s.IDs, s.TimesMs = s.Metrics[:l.samples], s.IDs[:l.samples], s.TimesMs[:l.samples]
	s.Exps, s.Mants = s.Exps[:l.samples], s.Mants[:l.samples]
	b.Starts = b.Starts[:l.starts]
	clear(b.Series[l.series:])
	b.Series = b.Series[:l.series]
	clear(b.Histograms[l.histograms:])
	b.Histograms = b.Histograms[:l.histograms]
	clear(b.Exemplars[l.exemplars:])
	b.Exemplars = b.Exemplars[:l.exemplars]
	clear(b.Metadata[l.metadata:])
	b.Metadata = b.Metadata[:l.metadata]
}
