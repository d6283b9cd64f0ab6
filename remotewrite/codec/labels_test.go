package codec

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/store"
)

func TestLabelRules(t *testing.T) {
	var many []string
	for i := range 65 {
		many = append(many, "l"+strings.Repeat("x", i), "v")
	}
	tests := map[string]struct {
		labels []string
		why    Reason
		text   string
		ok     bool
		want   labels.Labels
	}{
		"sorted":              {labels: []string{"__name__", "up", "a", "1"}, ok: true, want: labels.FromStrings("__name__", "up", "a", "1")},
		"unsorted":            {labels: []string{"b", "2", "a", "1", "__name__", "up"}, ok: true, want: labels.FromStrings("__name__", "up", "a", "1", "b", "2")},
		"empty value":         {labels: []string{"__name__", "up", "a", ""}, ok: true, want: labels.FromStrings("__name__", "up")},
		"empty value twice":   {labels: []string{"__name__", "up", "a", "", "a", "1"}, ok: true, want: labels.FromStrings("__name__", "up", "a", "1")},
		"utf-8 names":         {labels: []string{"__name__", "größe.in.m", "länge", "µ"}, ok: true, want: labels.FromStrings("__name__", "größe.in.m", "länge", "µ")},
		"no labels":           {why: NoMetricName},
		"no name":             {labels: []string{"a", "1"}, why: NoMetricName},
		"empty name":          {labels: []string{"__name__", "", "a", "1"}, why: NoMetricName},
		"duplicate":           {labels: []string{"__name__", "up", "a", "1", "a", "1"}, why: DuplicateLabel},
		"duplicate, unsorted": {labels: []string{"a", "1", "__name__", "up", "a", "2"}, why: DuplicateLabel},
		"two metric names":    {labels: []string{"__name__", "up", "__name__", "down"}, why: DuplicateLabel},
		"nameless label":      {labels: []string{"__name__", "up", "", "1"}, why: BadLabels},
		"name is no utf-8":    {labels: []string{"__name__", "up", "a\xff", "1"}, why: BadLabels},
		"value is no utf-8":   {labels: []string{"__name__", "up", "a", "\xff"}, why: BadLabels},
		"metric is no utf-8":  {labels: []string{"__name__", "up\xff"}, why: BadLabels},
		"too many":            {labels: append([]string{"__name__", "up"}, many...), why: TooManyLabels, text: "or raise remote_write.max_labels_per_series"},
		"name too long":       {labels: []string{"__name__", "up", strings.Repeat("a", 1025), "1"}, why: LabelTooLong, text: "a name of 1025 bytes, more than 1024; shorten it, or raise remote_write.max_label_name_bytes"},
		"value too long":      {labels: []string{"__name__", "up", "a", strings.Repeat("a", 4097)}, why: LabelTooLong, text: "a value of 4097 bytes, more than 4096; shorten it, or raise remote_write.max_label_value_bytes"},
		"just short enough":   {labels: []string{"__name__", "up", "a", strings.Repeat("a", 4096)}, ok: true, want: labels.FromStrings("__name__", "up", "a", strings.Repeat("a", 4096))},
	}
	for name, tc := range tests {
		for _, v := range versions {
			t.Run(name, func(t *testing.T) {
				good := []string{"__name__", "good"}
				var body []byte
				if v == V1 {
					body = requestV1(t, floatV1(testNowMs, 1, tc.labels...), floatV1(testNowMs, 2, good...))
				} else {
					sample := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs, Value: 1}}}
					body = newBuilderV2().add(sample, tc.labels...).add(sample, good...).bytes(t)
				}
				d := newDecoder()
				for range 2 {
					r := decode(t, d, v, body)
					if tc.ok {
						if r.Rejected.Total() != 0 || len(r.Batch.Series) != 2 || !labels.Equal(r.Batch.Series[0].Labels, tc.want) {
							t.Fatalf("got %v, %s", r.Batch.Series, r.Rejected.String())
						}
						if r.Batch.Series[0].Key != store.KeyOf(testTenant, tc.want) {
							t.Error("wrong key")
						}
						continue
					}
					if r.Rejected.Count(tc.why) != 1 || r.Rejected.Total() != 1 || !strings.Contains(r.Rejected.String(), tc.text) || r.Accepted.Samples != 1 {
						t.Fatalf("want %v with %q, got %s, accepted %+v", tc.why, tc.text, r.Rejected.String(), r.Accepted)
					}
					if len(r.Batch.Series) != 1 || r.Batch.Series[0].Labels.Get("__name__") != "good" {
						t.Errorf("the good series is not there: %v", r.Batch.Series)
					}
				}
			})
		}
	}
}

// TestTheSameSeriesInAnyFormIsOneSeries sends a series with its labels in two orders, in one request.
func TestTheSameSeriesInAnyFormIsOneSeries(t *testing.T) {
	r := decode(t, newDecoder(), V1, requestV1(t,
		floatV1(testNowMs-2, 1, "__name__", "up", "a", "1"),
		floatV1(testNowMs-1, 2, "a", "1", "__name__", "up"),
		floatV1(testNowMs-3, 3, "__name__", "up", "a", "1", "b", ""),
	))
	if len(r.Batch.Series) != 1 || r.Batch.Samples.Len() != 3 {
		t.Fatalf("got %d series, %d samples", len(r.Batch.Series), r.Batch.Samples.Len())
	}
	if s := r.Batch.Series[0]; s.MinMs != testNowMs-3 || s.MaxMs != testNowMs-1 {
		t.Errorf("got times %d to %d", s.MinMs-testNowMs, s.MaxMs-testNowMs)
	}
}

// TestLabelsBehindTheSamples are legal protobuf.
func TestLabelsBehindTheSamples(t *testing.T) {
	var s, l1, l2, ts, req encoder
	s.double(sampleValue, 1)
	s.varint(sampleTime, testNowMs)
	l1.string(labelName, "__name__")
	l1.string(labelValue, "up")
	l2.string(labelValue, "1") // the value before the name
	l2.string(labelName, "a")
	ts.bytes(v1SeriesLabels, l1.buf)
	ts.bytes(v1SeriesSamples, s.buf)
	ts.bytes(v1SeriesLabels, l2.buf)
	req.bytes(v1RequestTimeseries, ts.buf)
	d := newDecoder()
	for range 2 {
		r := decode(t, d, V1, req.buf)
		if len(r.Batch.Series) != 1 || !labels.Equal(r.Batch.Series[0].Labels, labels.FromStrings("__name__", "up", "a", "1")) {
			t.Fatalf("got %v", r.Batch.Series)
		}
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	d := newDecoder()
	body := requestV1(t, floatV1(testNowMs, 1, "__name__", "up"))
	var r Request
	for _, tenant := range []string{"one", "two", "one"} {
		if err := d.Decode(&r, V1, tenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
		s := r.Batch.Series[0]
		if s.Tenant != tenant || s.Key != store.KeyOf(tenant, s.Labels) {
			t.Errorf("tenant %s got %+v", tenant, s)
		}
	}
}

func TestRefusesTwoLabelSetsWithOneKey(t *testing.T) {
	one, other := floatV1(testNowMs, 1, "__name__", "up", "a", "1"), floatV1(testNowMs, 2, "__name__", "up", "a", "2")
	tests := map[string]struct {
		cached int
		bodies [][]byte
	}{
		"in one request":             {1000, [][]byte{requestV1(t, one, other)}},
		"in two requests":            {1000, [][]byte{requestV1(t, one), requestV1(t, other)}},
		"in one request, cache full": {0, [][]byte{requestV1(t, one, other)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(testLimits(), NewCache(tc.cached, 3600_000))
			d.keyOf = func(string, labels.Labels) store.Key { return store.Key{Metric: 1, ID: 2} }
			accepted, refused := 0, 0
			for _, body := range tc.bodies {
				r := decode(t, d, V1, body)
				accepted += r.Accepted.Samples
				refused += r.Rejected.Count(KeyCollision)
				if n := r.Rejected.Count(KeyCollision); n > 0 && !strings.Contains(r.Rejected.String(), "series_key_collision") {
					t.Errorf("got %q", r.Rejected.String())
				}
			}
			if accepted != 1 || refused != 1 {
				t.Errorf("accepted %d, refused %d", accepted, refused)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	var series []prompb.TimeSeries
	for range 1000 {
		series = append(series, floatV1(testNowMs, 1, strings.Repeat("\xff", 1000), strings.Repeat("\n", 3000), "b", strings.Repeat("ü", 2000)))
	}
	r := decode(t, newDecoder(), V1, requestV1(t, series...))
	text := r.Rejected.String()
	if r.Rejected.Total() != 1000 || len(text) > 4096 || strings.Count(text, "\n") != maxCases {
		t.Errorf("%d refused, a text of %d bytes: %s", r.Rejected.Total(), len(text), text)
	}
}
