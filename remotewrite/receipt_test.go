package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/metricstream/metricstream/store"
)

// TestProducedOffsets shows the writer's receipt on whatever was written, and on nothing else.
func TestProducedOffsets(t *testing.T) {
	var fail error
	give := store.Receipt{Generation: "g-1", Offsets: []store.PartitionOffset{{Partition: 0, Offset: 1200}, {Partition: 3, Offset: 77}}}
	h := newHandler(t, store.WriterFunc(func(ctx context.Context, _ *store.Batch) error {
		if fail == nil {
			r := store.ReceiptOf(ctx)
			r.Generation, r.Offsets = give.Generation, append(r.Offsets, give.Offsets...)
		}
		return fail
	}), nil)
	const all = "0:1200,3:77;generation=g-1"
	expect := func(what string, body []byte, headers map[string]string, status int, want string) {
		t.Helper()
		w := post(h, body, headers)
		if got := w.Header().Get("X-Produced-Offsets"); w.Code != status || got != want {
			t.Errorf("%s: %d %q, want %d %q", what, w.Code, got, status, want)
		}
	}
	one := requestV1(t, seriesV1(nowMs, 1, "__name__", "up"))
	expect("1.0", one, nil, http.StatusNoContent, all)
	expect("2.0", wholeV2(t), typeV2, http.StatusNoContent, all)
	expect("a part", mixedV2(t), typeV2, http.StatusBadRequest, all)
	expect("nothing that is valid", requestV1(t, seriesV1(nowMs, 1, "job", "x")), nil, http.StatusBadRequest, "")
	expect("an empty request", requestV1(t), nil, http.StatusNoContent, "")
	fail = errors.New("away")
	expect("a log that is away", one, nil, http.StatusServiceUnavailable, "")
	fail, give.Offsets = nil, nil
	expect("a writer without receipts", one, nil, http.StatusNoContent, "")
	for p := range int32(1000) {
		give.Offsets = append(give.Offsets, store.PartitionOffset{Partition: p, Offset: 1_000_000})
	}
	expect("more than proxies pass on", one, nil, http.StatusNoContent, "")
}
