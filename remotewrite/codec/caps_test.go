package codec

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
)

func of(name string, most int64) limits.Bound {
	return limits.Bound{Most: most, Name: name, Of: "the tenant", ID: "a"}
}

// TestCapsOnLabels: a limit below the decoder's refuses series, known ones too, and goes as it came.
func TestCapsOnLabels(t *testing.T) {
	for _, v := range versions {
		d := newDecoder()
		small, large := []string{"__name__", "up"}, []string{"__name__", "up", "job", "12345678"}
		body := requestV1(t, floatV1(testNowMs, 1, small...), floatV1(testNowMs, 1, large...))
		if v == V2 {
			one := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs, Value: 1}}}
			body = newBuilderV2().add(one, small...).add(one, large...).bytes(t)
		}
		for _, c := range []struct {
			caps     Caps
			accepted int
			why      Reason
			text     string
		}{
			{Caps{Labels: of("labels", 1)}, 1, TooManyLabels, `has more than 1 labels; send fewer, or raise limits.labels of the tenant "a"`},
			{Caps{}, 2, 0, ""},
			{Caps{Labels: of("labels", 1)}, 1, TooManyLabels, "more than 1 labels"},
			{Caps{NameBytes: of("name", 7)}, 0, LabelTooLong, `has the label "__name__" with a name of 8 bytes, more than 7; shorten it, or raise limits.name of the tenant "a"`},
			{Caps{ValueBytes: of("value", 7)}, 1, LabelTooLong, `has the label "job" with a value of 8 bytes, more than 7; shorten it, or raise limits.value of the tenant "a"`},
			{Caps{Labels: of("labels", 1000), NameBytes: of("name", 1<<30), ValueBytes: of("value", 1<<30)}, 2, 0, ""},
			{Caps{}, 2, 0, ""},
		} {
			r := Request{Caps: c.caps}
			if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
				t.Fatal(err)
			}
			if r.Accepted.Samples != c.accepted || r.Rejected.Total() != 2-c.accepted || c.accepted < 2 && r.Rejected.Count(c.why) == 0 ||
				!strings.Contains(r.Rejected.String(), c.text) {
				t.Errorf("v%d %+v: accepted %d, refused %s", v, c.caps, r.Accepted.Samples, r.Rejected.String())
			}
		}
	}
}

// TestCapsOnTheRest drops what is beyond a limit on exemplars and metadata without refusing it. What was dropped of 2.0
// comes again.
func TestCapsOnTheRest(t *testing.T) {
	ts := floatV1(testNowMs, 1, "__name__", "up")
	for i := range int64(5) {
		ts.Exemplars = append(ts.Exemplars, prompb.Exemplar{Timestamp: testNowMs - i, Value: 1})
	}
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}}
	for _, name := range []string{"a", "b", "c"} {
		req.Metadata = append(req.Metadata, prompb.MetricMetadata{MetricFamilyName: name, Help: "h"})
	}
	r := Request{Caps: Caps{Exemplars: of("exemplars", 2), Metadata: of("metadata", 1)}}
	d := newDecoder()
	if err := d.Decode(&r, V1, testTenant, marshal(t, &req), testNowMs); err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Samples: 1, Exemplars: 2, Metadata: 1}); r.Accepted != want || r.Dropped != (Counts{Exemplars: 3, Metadata: 2}) || r.Rejected.Total() != 0 {
		t.Errorf("accepted %+v, dropped %+v, refused %s", r.Accepted, r.Dropped, r.Rejected.String())
	}

	b := newBuilderV2()
	help := b.symbols.Symbolize("help")
	for _, name := range []string{"a", "b", "c"} {
		b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}}, Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: help}}, "__name__", name)
	}
	body := b.bytes(t)
	r.Caps = Caps{Metadata: of("metadata", 1)}
	for i, want := range []string{"a", "b", "c"} {
		if err := d.Decode(&r, V2, testTenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
		if len(r.Batch.Metadata) != 1 || r.Batch.Metadata[0].Name != want || r.Dropped.Metadata != 2-i || r.Accepted.Samples != 3 {
			t.Errorf("request %d: metadata %+v, dropped %+v", i, r.Batch.Metadata, r.Dropped)
		}
		r.Commit()
	}
}

// TestAdmit asks once for each series that is not known, in whatever form, and refuses nothing else.
func TestAdmit(t *testing.T) {
	d := newDecoder()
	var asked []store.Key
	only := store.KeyOf(testTenant, labels.FromStrings("__name__", "a", "x", "y"))
	admit := func(k store.Key) (Reason, limits.Bound, bool) {
		asked = append(asked, k)
		return TooManyActive, of("active", 1), k == only
	}
	r := Request{Admit: admit}
	for i, c := range []struct {
		asks, accepted int
		body           []byte
	}{
		{2, 1, requestV1(t, floatV1(testNowMs, 1, "__name__", "a", "x", "y"), floatV1(testNowMs, 1, "__name__", "b"))},
		{1, 1, requestV1(t, floatV1(testNowMs, 1, "x", "y", "__name__", "a"), floatV1(testNowMs, 1, "__name__", "b"))},
		{0, 1, requestV1(t, floatV1(testNowMs, 1, "x", "y", "__name__", "a"))},
	} {
		asked = nil
		if err := d.Decode(&r, V1, testTenant, c.body, testNowMs); err != nil {
			t.Fatal(err)
		}
		if len(asked) != c.asks || r.Accepted.Samples != c.accepted {
			t.Errorf("request %d: asked %d times, accepted %d", i, len(asked), r.Accepted.Samples)
		}
		if c.asks > 0 && (r.Rejected.Count(TooManyActive) != 1 || !strings.Contains(r.Rejected.String(), `too_many_active_series: series "b"{} is new`)) {
			t.Errorf("request %d: refused %s", i, r.Rejected.String())
		}
	}
	var used []uint64
	d.cache.Used(testNowMs, func(tenant string, id uint64) {
		if tenant != testTenant {
			t.Errorf("tenant %q", tenant)
		}
		used = append(used, id)
	})
	if len(used) != 1 || used[0] != only.ID {
		t.Errorf("used %v, want %v", used, only.ID)
	}
	d.cache.Used(testNowMs+1, func(string, uint64) { t.Error("a series was used in the future") })
}
