package store_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/metricstream/metricstream/store"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want store.Kind
	}{
		{io.EOF, store.KindUnavailable},
		{store.Invalidf("bad %d", 1), store.KindInvalid},
		{fmt.Errorf("outer: %w", store.Limitf("much")), store.KindLimit},
		{errors.Join(io.EOF, store.Limitf("much")), store.KindLimit},
	} {
		if got := store.KindOf(c.err); got != c.want {
			t.Errorf("the kind of %v is %v", c.err, got)
		}
	}
	if err := store.Invalidf("cannot read: %w", io.EOF); !errors.Is(err, io.EOF) || err.Error() != "cannot read: EOF" {
		t.Errorf("%v does not wrap", err)
	}
}
