package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metricstream/metricstream/store"
)

func TestReceiptAsText(t *testing.T) {
	for text, want := range map[string]store.Receipt{
		"0:1200,3:77;generation=a-_Z9": {Generation: "a-_Z9", Offsets: []store.PartitionOffset{{Partition: 0, Offset: 1200}, {Partition: 3, Offset: 77}}},
		"7:0":                          {Offsets: []store.PartitionOffset{{Partition: 7, Offset: 0}}},
	} {
		got, err := store.ParseReceipt(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if got.String() != text {
			t.Errorf("%s came back as %s", text, got.String())
		}
	}
	if s := new(store.Receipt).String(); s != "" {
		t.Errorf("an empty receipt is %q", s)
	}
	for _, bad := range []string{"", " ", ";generation=a", "0:1;generation=", "0", "0:", ":1", "0:-1", "-1:1", "2147483648:1", "0:9223372036854775808", "0:1,", "a:b", "0:1;x=y"} {
		if _, err := store.ParseReceipt(bad); store.KindOf(err) != store.KindInvalid {
			t.Errorf("%q: %v, want an error of KindInvalid", bad, err)
		}
	}
}

func TestReceiptOfAContext(t *testing.T) {
	if r := store.ReceiptOf(context.Background()); r != nil {
		t.Errorf("got %v of a context without one", r)
	}
	var r store.Receipt
	if got := store.ReceiptOf(store.WithReceipt(context.Background(), &r)); got != &r {
		t.Error("the receipt is another one")
	}
}
