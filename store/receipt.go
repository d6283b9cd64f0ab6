package store

import (
	"context"
	"strconv"
	"strings"
)

// Receipt says where in a log a batch is. A [Writer] that is a log fills the one in its context when it has made
// the batch durable; other writers leave it empty. Whoever has it can wait until the batch is in the tables: until
// the [Progress] of the generation is beyond each offset.
type Receipt struct {
	// Generation is that of [Progress]; empty where it is not known.
	Generation string

	// Offsets has, for each partition that the batch has a record in, the offset of the last one. Partitions
	// ascend in what a Writer filled.
	Offsets []PartitionOffset
}

// PartitionOffset is the offset of a record in a partition.
type PartitionOffset struct {
	Partition int32
	Offset    int64
}

type receiptKey struct{}

// WithReceipt returns a context whose receipt is r. It is for one Write at a time.
func WithReceipt(ctx context.Context, r *Receipt) context.Context {
	return context.WithValue(ctx, receiptKey{}, r)
}

// ReceiptOf returns the context's receipt, nil where nobody wants one.
func ReceiptOf(ctx context.Context) *Receipt {
	r, _ := ctx.Value(receiptKey{}).(*Receipt)
	return r
}

const receiptGeneration = ";generation="

// String returns the receipt as text, such as 0:1200,3:77;generation=q83vEjRWeJA: offsets by partition, and the
// generation where it is known. An empty receipt is the empty string.
func (r *Receipt) String() string {
	if len(r.Offsets) == 0 {
		return ""
	}
	buf := make([]byte, 0, 12*len(r.Offsets)+40)
	for i, o := range r.Offsets {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = strconv.AppendInt(buf, int64(o.Partition), 10)
		buf = append(buf, ':')
		buf = strconv.AppendInt(buf, o.Offset, 10)
	}
	if r.Generation != "" {
		buf = append(append(buf, receiptGeneration...), r.Generation...)
	}
	return string(buf)
}

// ParseReceipt reads what String returned, with or without the generation. The error is of [KindInvalid].
func ParseReceipt(s string) (Receipt, error) {
	var r Receipt
	offsets, generation, named := strings.Cut(s, receiptGeneration)
	bad := Invalidf("cannot read the offsets %.100q: want offsets by partition, such as 0:1200,3:77, and perhaps %sID", s, receiptGeneration)
	if named && generation == "" {
		return r, bad
	}
	for one := range strings.SplitSeq(offsets, ",") {
		partition, offset, _ := strings.Cut(strings.TrimSpace(one), ":")
		p, err := strconv.ParseUint(partition, 10, 31)
		at, offsetErr := strconv.ParseUint(offset, 10, 62)
		if err != nil || offsetErr != nil {
			return r, bad
		}
		r.Offsets = append(r.Offsets, PartitionOffset{int32(p), int64(at)})
	}
	r.Generation = strings.TrimSpace(generation)
	return r, nil
}
