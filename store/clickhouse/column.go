package clickhouse

import (
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/prometheus/model/labels"
)

// labelsColumn is a column of Map(LowCardinality(String), String) that is written from, and read as, label
// sets. ch-go's own makes a Go map, or a string for each name and value, of every row.
type labelsColumn struct {
	ends   proto.ColUInt64
	names  proto.ColLowCardinalityRaw
	values proto.ColStr

	dictionary proto.ColStr      // behind names.Index
	numbers    map[string]uint32 // of the names, while writing
	nameTexts  []string          // the dictionary, while reading
	builder    labels.ScratchBuilder
}

func newLabelsColumn() *labelsColumn {
	c := &labelsColumn{numbers: map[string]uint32{}, builder: labels.NewScratchBuilder(32)}
	c.names.Index = &c.dictionary
	c.names.Key = proto.KeyUInt32
	return c
}

// append adds a row.
func (c *labelsColumn) append(ls labels.Labels) {
	ls.Range(func(l labels.Label) {
		n, ok := c.numbers[l.Name]
		if !ok {
			n = uint32(len(c.numbers))
			c.numbers[l.Name] = n
			c.dictionary.Append(l.Name)
		}
		c.names.AppendKey(int(n))
		c.values.Append(l.Value)
	})
	c.ends = append(c.ends, uint64(len(c.values.Pos)))
}

// row returns the label set of a row that was read.
func (c *labelsColumn) row(i int) labels.Labels {
	begin := uint64(0)
	if i > 0 {
		begin = c.ends[i-1]
	}
	c.builder.Reset()
	if begin == c.ends[i] {
		return c.builder.Labels()
	}
	// The values of a row stand one after the other; one string holds them all.
	pos := c.values.Pos[begin:c.ends[i]]
	offset := pos[0].Start
	text := string(c.values.Buf[offset:pos[len(pos)-1].End])
	for j, p := range pos {
		c.builder.Add(c.nameTexts[c.nameNumber(int(begin)+j)], text[p.Start-offset:p.End-offset])
	}
	return c.builder.Labels()
}

func (c *labelsColumn) nameNumber(i int) int {
	switch c.names.Key {
	case proto.KeyUInt8:
		return int(c.names.Keys8[i])
	case proto.KeyUInt16:
		return int(c.names.Keys16[i])
	case proto.KeyUInt32:
		return int(c.names.Keys32[i])
	default:
		return int(c.names.Keys64[i])
	}
}

// The rest is what ch-go asks of a column.

func (c *labelsColumn) Type() proto.ColumnType {
	return proto.ColumnTypeMap.Sub(proto.ColumnTypeLowCardinality.Sub(proto.ColumnTypeString), proto.ColumnTypeString)
}

func (c *labelsColumn) Rows() int { return len(c.ends) }

func (c *labelsColumn) Reset() {
	c.ends.Reset()
	c.names.Reset()
	c.values.Reset()
	clear(c.numbers)
}

func (c *labelsColumn) DecodeState(r *proto.Reader) error { return c.names.DecodeState(r) }
func (c *labelsColumn) EncodeState(b *proto.Buffer)       { c.names.EncodeState(b) }

func (c *labelsColumn) DecodeColumn(r *proto.Reader, rows int) error {
	if err := c.ends.DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("cannot read the sizes of %d label sets: %w", rows, err)
	}
	if rows == 0 {
		return nil
	}
	n := int(c.ends[rows-1])
	if err := c.names.DecodeColumn(r, n); err != nil {
		return fmt.Errorf("cannot read %d label names: %w", n, err)
	}
	if n > 0 && c.names.Rows() != n {
		return fmt.Errorf("cannot read %d label names: %d came", n, c.names.Rows())
	}
	for i := range n {
		if k := c.nameNumber(i); k < 0 || k >= len(c.dictionary.Pos) {
			return fmt.Errorf("cannot read label name %d: the dictionary has %d", k, len(c.dictionary.Pos))
		}
	}
	c.nameTexts = c.nameTexts[:0]
	for i := range c.dictionary.Pos {
		c.nameTexts = append(c.nameTexts, c.dictionary.Row(i))
	}
	return c.values.DecodeColumn(r, n)
}

func (c *labelsColumn) EncodeColumn(b *proto.Buffer) {
	c.ends.EncodeColumn(b)
	if len(c.values.Pos) > 0 {
		c.names.EncodeColumn(b)
		c.values.EncodeColumn(b)
	}
}

func (c *labelsColumn) WriteColumn(w *proto.Writer) {
	w.ChainBuffer(func(b *proto.Buffer) { c.EncodeColumn(b) })
}
