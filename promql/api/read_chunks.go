package api

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"net/http"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// readChunks answers with a stream of frames, each of one series or a part of one. When it fails in the middle,
// the connection is cut: a proper end would look like a complete answer.
func (a *API) readChunks(ctx context.Context, w http.ResponseWriter, r *http.Request, req *prompb.ReadRequest) {
	w.Header().Set("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
	frames := &frameWriter{w: w, castagnoli: crc32.MakeTable(crc32.Castagnoli), maxBytes: a.ReadFrameBytes}
	for i, q := range req.Queries {
		err := a.selectQuery(ctx, q, func(set storage.SeriesSet) error { return frames.writeSet(int64(i), set) })
		if err == nil {
			continue
		}
		if frames.started {
			a.Logger.ErrorContext(r.Context(), "cannot finish a streamed remote read", "query", i, "err", err)
			panic(http.ErrAbortHandler)
		}
		w.Header().Del("Content-Type")
		a.readError(w, r, err)
		return
	}
}

// frameWriter writes frames: the length as a varint, a checksum, a prometheus.ChunkedReadResponse.
type frameWriter struct {
	w          http.ResponseWriter
	castagnoli *crc32.Table
	maxBytes   int
	started    bool

	buf    []byte
	labels []prompb.Label
	chunks []prompb.Chunk
}

func (f *frameWriter) writeSet(query int64, set storage.SeriesSet) error {
	var it chunks.Iterator
	for set.Next() {
		s := set.At()
		f.labels = f.labels[:0]
		size := 0
		s.Labels().Range(func(l labels.Label) {
			f.labels = append(f.labels, prompb.Label{Name: l.Name, Value: l.Value})
			size += len(l.Name) + len(l.Value) + 4
		})
		it = storage.NewSeriesToChunkEncoder(startless{s}).Iterator(it)
		if err := f.writeSeries(query, size, it); err != nil {
			return err
		}
	}
	return nil
}

// writeSeries writes a frame as soon as its chunks have reached the limit.
func (f *frameWriter) writeSeries(query int64, labelBytes int, it chunks.Iterator) error {
	f.chunks = f.chunks[:0]
	size := labelBytes
	for it.Next() {
		c := it.At()
		f.chunks = append(f.chunks, prompb.Chunk{
			MinTimeMs: c.MinTime,
			MaxTimeMs: c.MaxTime,
			Type:      prompb.Chunk_Encoding(c.Chunk.Encoding()),
			Data:      c.Chunk.Bytes(),
		})
		if size += len(c.Chunk.Bytes()); size < f.maxBytes {
			continue
		}
		if err := f.writeFrame(query); err != nil {
			return err
		}
		f.chunks, size = f.chunks[:0], labelBytes
	}
	if err := it.Err(); err != nil || len(f.chunks) == 0 {
		return err
	}
	return f.writeFrame(query)
}

func (f *frameWriter) writeFrame(query int64) error {
	m := prompb.ChunkedReadResponse{
		ChunkedSeries: []*prompb.ChunkedSeries{{Labels: f.labels, Chunks: f.chunks}},
		QueryIndex:    query,
	}
	const head = binary.MaxVarintLen64 + 4
	size := m.Size()
	if cap(f.buf) < head+size {
		f.buf = make([]byte, head+size+size/2)
	}
	f.buf = f.buf[:head+size]
	if _, err := m.MarshalToSizedBuffer(f.buf[head:]); err != nil {
		return err
	}
	prefix := binary.AppendUvarint(f.buf[:0], uint64(size))
	prefix = binary.BigEndian.AppendUint32(prefix, crc32.Checksum(f.buf[head:], f.castagnoli))
	f.started = true
	if _, err := f.w.Write(prefix); err != nil {
		return err
	}
	_, err := f.w.Write(f.buf[head:])
	return err
}

// startless hides start timestamps: chunks that hold them have an encoding that remote read does not know.
type startless struct{ storage.Series }

func (s startless) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return startlessIterator{s.Series.Iterator(nil)}
}

type startlessIterator struct{ chunkenc.Iterator }

// AtST says that there is no start timestamp.
func (startlessIterator) AtST() int64 { return 0 }
