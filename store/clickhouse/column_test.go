package clickhouse

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/prometheus/prometheus/model/labels"
)

func TestLabelsColumn(t *testing.T) {
	sets := []labels.Labels{
		labels.EmptyLabels(), labels.FromStrings("a", "1"), labels.EmptyLabels(), labels.FromStrings("__name__", "m", "a", "", "b", "x\x00'é"),
	}
	for i := range 300 { // more names than a byte can count
		sets = append(sets, labels.FromStrings(fmt.Sprintf("n%d", i), fmt.Sprint(i)))
	}
	w := newLabelsColumn()
	for range 2 { // a column can be used again
		w.Reset()
		for _, ls := range sets {
			w.append(ls)
		}
	}
	var b proto.Buffer
	w.EncodeState(&b)
	w.EncodeColumn(&b)
	decode := func(data []byte) (*labelsColumn, error) {
		c, r := newLabelsColumn(), proto.NewReader(bytes.NewReader(data))
		if err := c.DecodeState(r); err != nil {
			return nil, err
		}
		return c, c.DecodeColumn(r, len(sets))
	}
	c, err := decode(b.Buf)
	if err != nil {
		t.Fatal(err)
	}
	for i, ls := range sets {
		if got := c.row(i); !labels.Equal(got, ls) {
			t.Errorf("row %d is %s, wanted %s", i, got, ls)
		}
	}
	for n := range b.Buf {
		if _, err := decode(b.Buf[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for the whole", n, len(b.Buf))
		}
	}
}
