package codec

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
)

const (
	v1MetadataType = 1
	v1MetadataName = 2
	v1MetadataHelp = 4
	v1MetadataUnit = 5

	v2MetadataType    = 1
	v2MetadataHelpRef = 3
	v2MetadataUnitRef = 4
)

// metadataWords are the types of both versions by their number on the wire.
var metadataWords = [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}

// metadataAgainMs is how long metadata that was written is not written again.
const metadataAgainMs = 3600_000

func metadataWord(n uint64) string {
	if n < uint64(len(metadataWords)) {
		return metadataWords[n]
	}
	return metadataWords[0]
}

// metadataV1 decodes a MetricMetadata message of 1.0.
func (r *Request) metadataV1(msg []byte) error {
	if err := r.count(); err != nil {
		return err
	}
	var typ uint64
	var name, help, unit []byte
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		switch field {
		case v1MetadataType:
			typ = in.varintField(wire)
		case v1MetadataName:
			name = in.messageField(wire)
		case v1MetadataHelp:
			help = in.messageField(wire)
		case v1MetadataUnit:
			unit = in.messageField(wire)
		default:
			in.skip(wire)
		}
	}
	if in.err != nil {
		return in.err
	}
	switch {
	case len(name) == 0:
		r.Rejected.add(BadMetadata, 1, func() (string, string) { return "", "metadata without a metric name" })
	case len(name) > r.decoder.limits.ValueBytes, !utf8.Valid(name), !validText(help), !validText(unit):
		r.Rejected.add(BadMetadata, 1, func() (string, string) { return r.explainMetadata(name) })
	case r.metadataFull():
		r.Dropped.Metadata++
	default:
		r.addMetadata(string(name), metadataWord(typ), help, unit)
	}
	return nil
}

// maxTextBytes bounds help texts and units.
const maxTextBytes = 16 << 10

func validText(b []byte) bool { return len(b) <= maxTextBytes && utf8.Valid(b) }

func (r *Request) explainMetadata(name []byte) (series, detail string) {
	series = r.showValue(label{nameLabel, name})
	return series, fmt.Sprintf("metadata of %s is not UTF-8, or the name is too long, or a text is longer than %d bytes", series, maxTextBytes)
}

func (r *Request) addMetadata(name, typ string, help, unit []byte) {
	m := store.Metadata{Tenant: r.tenant, Name: name, Type: typ, Help: string(help), Unit: string(unit)}
	if !r.treatMetadata(&m) {
		return
	}
	r.Batch.Metadata = append(r.Batch.Metadata, m)
	r.Accepted.Metadata++
}

// metadataV2 is the Metadata message inside a TimeSeries of 2.0.
type metadataV2 struct {
	typ              uint64
	helpRef, unitRef uint32
}

func (m *metadataV2) parse(msg []byte) error {
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			return in.err
		}
		switch field {
		case v2MetadataType:
			m.typ = in.varintField(wire)
		case v2MetadataHelpRef:
			m.helpRef = uint32(in.varintField(wire))
		case v2MetadataUnitRef:
			m.unitRef = uint32(in.varintField(wire))
		default:
			in.skip(wire)
		}
	}
}

// addSeriesMetadata adds what a series of 2.0 says of its family. Each series says it with each sample, so it is
// only passed on when it is news, and then once for all series of the family in the request.
func (r *Request) addSeriesMetadata(t *target, h *headV2) {
	m := &h.meta
	if t.series == nil || !m.says() {
		return
	}
	n := uint32(len(r.symbols))
	if m.helpRef >= n || m.unitRef >= n {
		r.Rejected.add(BadMetadata, 1, func() (string, string) {
			series := r.showSeries(t.series.labels)
			return series, fmt.Sprintf("metadata of series %s refers to the symbols %d and %d, but there are only %d", series, m.helpRef, m.unitRef, n)
		})
		return
	}
	help, unit := &r.symbols[m.helpRef], &r.symbols[m.unitRef]
	hash := r.hashMetadata(m.typ, help, unit)
	s := t.series
	if s.metadata.Load() == hash && r.nowMs-s.metadataMs.Load() < metadataAgainMs {
		return
	}
	typ := metadataWord(m.typ)
	name := family(s.labels.Get(labels.MetricName), typ, h.histograms)
	inRequest := xxh3.HashStringSeed(name, hash)
	_, has := r.metadata[inRequest]
	if !has && r.metadataFull() {
		r.Dropped.Metadata++ // and not remembered: a later request says it again
		return
	}
	if t.slot >= 0 {
		r.slots[t.slot].metadata = hash
	}
	if has {
		return
	}
	if !validText(help.text) || !validText(unit.text) {
		r.Rejected.add(BadMetadata, 1, func() (string, string) { return r.explainMetadata([]byte(name)) })
		return
	}
	if r.metadata == nil {
		r.metadata = make(map[uint64]struct{})
	}
	r.metadata[inRequest] = struct{}{}
	r.addMetadata(strings.Clone(name), typ, help.text, unit.text)
}

// says reports whether there is anything in the message.
func (m *metadataV2) says() bool { return m.typ != 0 || m.helpRef != 0 || m.unitRef != 0 }

func (r *Request) hashMetadata(typ uint64, help, unit *symbol) uint64 {
	var buf [8 + 16 + 16]byte
	binary.LittleEndian.PutUint64(buf[:], typ)
	help.hash.put(buf[8:])
	unit.hash.put(buf[24:])
	return xxh3.HashSeed(buf[:], r.seed) | 1 // 0 is none
}

// family returns the name of the metric family that a series belongs to: metadata is asked for by that name, as
// remote write 1.0 sends it. Classic histograms and summaries have series with names of their own; a series with
// native histograms has the family's.
func family(name, typ string, histograms int) string {
	var suffixes []string
	switch {
	case histograms > 0:
	case typ == "histogram":
		suffixes = []string{"_bucket", "_count", "_sum"}
	case typ == "gaugehistogram":
		suffixes = []string{"_bucket", "_gcount", "_gsum"}
	case typ == "summary":
		suffixes = []string{"_count", "_sum"}
	}
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s); ok && base != "" {
			return base
		}
	}
	return name
}
