package codec

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// privacy returns the policy of the test's tenant.
func privacy(t testing.TB, detectors map[string]pii.Action) pii.Policy {
	t.Helper()
	p, err := pii.NewPolicies(pii.PolicyOptions{
		Defaults: pii.Settings{Detectors: detectors, Exempt: map[string][]string{"instance": {"ipv4"}}},
		Secret:   []byte("0123456789abcdef"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.Of(testTenant)
}

// set returns the detectors that have an action.
func set(email, ipv4 pii.Action) map[string]pii.Action {
	all := map[string]pii.Action{}
	for name, a := range map[string]pii.Action{"email": email, "ipv4": ipv4} {
		if a != "" {
			all[name] = a
		}
	}
	return all
}

// both returns one request in both versions: a sample for each label set.
func both(t testing.TB, sets ...[]string) map[Version][]byte {
	t.Helper()
	var v1 []prompb.TimeSeries
	v2 := newBuilderV2()
	for _, ls := range sets {
		v1 = append(v1, floatV1(testNowMs, 1, ls...))
		v2.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs, Value: 1}}}, ls...)
	}
	return map[Version][]byte{V1: requestV1(t, v1...), V2: v2.bytes(t)}
}

func stored(r *Request) (all []string) {
	for _, s := range r.Batch.Series {
		all = append(all, s.Labels.String())
	}
	return all
}

const (
	mail = "alice@example.com"
	ip   = "10.1.2.3"
)

func TestPersonalLabels(t *testing.T) {
	sets := [][]string{
		{"__name__", "up", "instance", ip + ":80", "user", mail},
		{"user", "no one", "__name__", "up"},
		{"__name__", "up", "pod_ip", ip, "user", mail},
		{"__name__", mail, "z", "1"},
	}
	hash := privacy(t, map[string]pii.Action{"email": pii.Hash}).Treat("user", mail).Value
	hashName := privacy(t, map[string]pii.Action{"email": pii.Hash}).Treat("__name__", mail).Value
	for _, c := range []struct {
		email, ipv4 pii.Action
		want        []string
		refused     int
	}{
		{"", "", []string{`{__name__="up", instance="10.1.2.3:80", user="alice@example.com"}`, `{__name__="up", user="no one"}`, `{__name__="up", pod_ip="10.1.2.3", user="alice@example.com"}`, `{__name__="alice@example.com", z="1"}`}, 0},
		{pii.Report, pii.Report, []string{`{__name__="up", instance="10.1.2.3:80", user="alice@example.com"}`, `{__name__="up", user="no one"}`, `{__name__="up", pod_ip="10.1.2.3", user="alice@example.com"}`, `{__name__="alice@example.com", z="1"}`}, 0},
		{pii.Mask, pii.Drop, []string{`{__name__="up", instance="10.1.2.3:80", user="[email]"}`, `{__name__="up", user="no one"}`, `{__name__="up", user="[email]"}`, `{__name__="_email_", z="1"}`}, 0},
		{pii.Hash, pii.Refuse, []string{`{__name__="up", instance="10.1.2.3:80", user="` + hash + `"}`, `{__name__="up", user="no one"}`, `{__name__="` + hashName + `", z="1"}`}, 1},
		{pii.Drop, "", []string{`{__name__="up", instance="10.1.2.3:80"}`, `{__name__="up", user="no one"}`, `{__name__="up", pod_ip="10.1.2.3"}`}, 1},
		{pii.Refuse, pii.Mask, []string{`{__name__="up", user="no one"}`}, 3},
	} {
		for v, body := range both(t, sets...) {
			d := newDecoder()
			r := Request{Privacy: privacy(t, set(c.email, c.ipv4))}
			for round := range 3 {
				if err := d.Decode(&r, v, testTenant, body, testNowMs); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, stored(&r)); diff != "" || r.Accepted.Samples != len(c.want) {
					t.Errorf("v%d, %s and %s, round %d: accepted %d\n%s", v, c.email, c.ipv4, round, r.Accepted.Samples, diff)
				}
				if r.Rejected.Count(PersonalData) != c.refused || r.Rejected.Total() != c.refused {
					t.Errorf("v%d, %s and %s: refused %s", v, c.email, c.ipv4, r.Rejected.String())
				}
				if text := r.Rejected.String(); strings.Contains(text, mail) || strings.Contains(text, ip) && c.ipv4 != "" && !strings.Contains(text, ip+":80") {
					t.Errorf("v%d: the answer shows it: %s", v, text)
				}
				for _, s := range r.Batch.Series {
					if s.Key != store.KeyOf(testTenant, s.Labels) {
						t.Errorf("v%d: the key of %s is of other labels", v, s.Labels)
					}
				}
				if looked := len(r.Found) > 0; looked != (round == 0 && c.email != "") {
					t.Errorf("v%d, round %d: found %v", v, round, r.Found)
				}
			}
			if misses := d.cache.Stats().Misses; misses != uint64(len(sets)) {
				t.Errorf("v%d, %s and %s: %d misses", v, c.email, c.ipv4, misses)
			}
		}
	}
}

// TestAnotherPolicy looks again at series that are known.
func TestAnotherPolicy(t *testing.T) {
	d := newDecoder()
	r := Request{}
	body := both(t, []string{"__name__", "up", "user", mail})[V1]
	for _, c := range []struct {
		action pii.Action
		want   []string
	}{{"", []string{`{__name__="up", user="alice@example.com"}`}}, {pii.Mask, []string{`{__name__="up", user="[email]"}`}}, {pii.Refuse, nil}, {pii.Drop, []string{`{__name__="up"}`}}, {"", []string{`{__name__="up", user="alice@example.com"}`}}} {
		r.Privacy = privacy(t, set(c.action, ""))
		if err := d.Decode(&r, V1, testTenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, stored(&r)); diff != "" {
			t.Errorf("%q: %s", c.action, diff)
		}
	}
}

// TestPersonalBecomeOne writes the samples of two series that become one under its key.
func TestPersonalBecomeOne(t *testing.T) {
	for v, body := range both(t, []string{"__name__", "up", "user", "a@b.cc"}, []string{"__name__", "up", "user", "b@b.cc"}) {
		r := Request{Privacy: privacy(t, map[string]pii.Action{"email": pii.Mask})}
		if err := newDecoder().Decode(&r, v, testTenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
		if len(r.Batch.Series) != 1 || r.Batch.Samples.Len() != 2 || r.Batch.Samples.IDs[0] != r.Batch.Samples.IDs[1] || r.Rejected.Total() != 0 {
			t.Errorf("v%d: %d series, %d samples, %s", v, len(r.Batch.Series), r.Batch.Samples.Len(), r.Rejected.String())
		}
	}
}

// TestPersonalElsewhere treats exemplars and metadata.
func TestPersonalElsewhere(t *testing.T) {
	ts := floatV1(testNowMs, 1, "__name__", "up")
	for i, ls := range [][]prompb.Label{labelsV1("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", "user", mail), labelsV1("ip", ip), labelsV1("key", "AKIAIOSFODNN7EXAMPLE")} {
		ts.Exemplars = append(ts.Exemplars, prompb.Exemplar{Timestamp: testNowMs - int64(i), Value: 1, Labels: ls})
	}
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}, Metadata: []prompb.MetricMetadata{
		{MetricFamilyName: "up", Help: "Ask " + mail}, {MetricFamilyName: "down", Help: "At " + ip, Unit: "s"}, {MetricFamilyName: "key", Help: "AKIAIOSFODNN7EXAMPLE"},
	}}
	r := Request{Privacy: privacy(t, map[string]pii.Action{"email": pii.Mask, "ipv4": pii.Drop, "api_key": pii.Refuse})}
	if err := newDecoder().Decode(&r, V1, testTenant, marshal(t, &req), testNowMs); err != nil {
		t.Fatal(err)
	}
	if len(r.Batch.Exemplars) != 2 || r.Batch.Exemplars[0].Labels.String() != `{trace_id="4bf92f3577b34da6a3ce929d0e0e4736", user="[email]"}` || !r.Batch.Exemplars[1].Labels.IsEmpty() {
		t.Errorf("exemplars %+v", r.Batch.Exemplars)
	}
	want := []store.Metadata{{Tenant: testTenant, Name: "up", Type: "unknown", Help: "Ask [email]"}, {Tenant: testTenant, Name: "down", Type: "unknown", Unit: "s"}}
	if diff := cmp.Diff(want, r.Batch.Metadata); diff != "" {
		t.Error(diff)
	}
	if text := r.Rejected.String(); r.Rejected.Count(PersonalData) != 2 || r.Accepted.Exemplars != 2 || r.Accepted.Metadata != 2 || strings.Contains(text, "AKIA") ||
		!strings.Contains(text, `an exemplar at `+fmt.Sprint(testNowMs-2)+` with personal data: api_key in "key"`) || !strings.Contains(text, `metadata of "key" has personal data: api_key in "__help__"`) {
		t.Errorf("refused %s", text)
	}
	email, ipv4, key := pii.Finding{Detector: "email", Action: pii.Mask}, pii.Finding{Detector: "ipv4", Action: pii.Drop}, pii.Finding{Detector: "api_key", Action: pii.Refuse}
	found := map[Found]int{{email, "user", "up"}: 1, {ipv4, "ip", "up"}: 1, {key, "key", "up"}: 1, {email, "__help__", "up"}: 1, {ipv4, "__help__", "down"}: 1, {key, "__help__", "key"}: 1}
	if diff := cmp.Diff(found, r.Found); diff != "" {
		t.Error(diff)
	}

	b := newBuilderV2()
	help := b.symbols.Symbolize("Ask " + mail)
	b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: testNowMs}}, Metadata: writev2.Metadata{HelpRef: help},
		Exemplars: []writev2.Exemplar{{Timestamp: testNowMs, LabelsRefs: b.refs("user", mail)}}}, "__name__", "up")
	if err := newDecoder().Decode(&r, V2, testTenant, b.bytes(t), testNowMs); err != nil {
		t.Fatal(err)
	}
	if len(r.Batch.Metadata) != 1 || r.Batch.Metadata[0].Help != "Ask [email]" || len(r.Batch.Exemplars) != 1 || r.Batch.Exemplars[0].Labels.String() != `{user="[email]"}` {
		t.Errorf("%+v %+v", r.Batch.Metadata, r.Batch.Exemplars)
	}
}

// TestPersonalInRefusals: whatever a series is refused for, the answer shows no personal data.
func TestPersonalInRefusals(t *testing.T) {
	long := strings.Repeat("x", testLimits().ValueBytes) + mail
	sets := [][]string{
		{"user", mail}, {"__name__", "up", "user", mail, "user", mail}, {"__name__", "up", "user", mail, "long", long}, {"__name__", "up", "user", mail + "\xff"},
		{"__name__", mail, "", "x"}, {"__name__", "up", "token", "Bearer " + strings.Repeat("x", 30) + " " + mail},
	}
	for v, body := range both(t, sets...) {
		if v == V2 {
			continue // the same code
		}
		for _, a := range []pii.Action{pii.Report, pii.Mask, pii.Refuse} {
			r := Request{Privacy: privacy(t, map[string]pii.Action{"email": a})}
			if err := newDecoder().Decode(&r, v, testTenant, body, testNowMs+365*86_400_000); err != nil {
				t.Fatal(err)
			}
			text := r.Rejected.String() + fmt.Sprint(r.Rejected.Cases())
			if r.Rejected.Total() != len(sets) || strings.Contains(text, "alice") || strings.Contains(text, "example") || !strings.Contains(text, "[email]") {
				t.Errorf("%s: %d refused: %s", a, r.Rejected.Total(), text)
			}
		}
	}
	bad := newBuilderV2()
	bad.req.Symbols = []string{mail}
	r := Request{Privacy: privacy(t, map[string]pii.Action{"email": pii.Mask})}
	if err := newDecoder().Decode(&r, V2, testTenant, marshal(t, &bad.req), testNowMs); err == nil || strings.Contains(err.Error(), mail) {
		t.Errorf("%v", err)
	}
}

// TestPersonalOfReplicas: what a replica sends that is not elected is a duplicate, whatever stands in it.
func TestPersonalOfReplicas(t *testing.T) {
	d := newDecoder()
	d.DetectPairs(PairLabels{Cluster: "cluster", Replica: "__replica__"})
	duplicate := true
	r := Request{Privacy: privacy(t, map[string]pii.Action{"email": pii.Refuse}), Judge: func(Pair) (bool, error) { return duplicate, nil }}
	body := both(t, []string{"__name__", "up", "__replica__", "a", "cluster", "c", "user", mail})[V1]
	for _, duplicate = range []bool{true, false, true} {
		if err := d.Decode(&r, V1, testTenant, body, testNowMs); err != nil {
			t.Fatal(err)
		}
		if (r.Duplicates.Samples == 1) != duplicate || (r.Rejected.Count(PersonalData) == 1) == duplicate || !r.Batch.Empty() {
			t.Errorf("duplicate %v: %+v, refused %s", duplicate, r.Duplicates, r.Rejected.String())
		}
	}
}

// BenchmarkPersonal decodes 1000 label sets of five labels that are not known.
func BenchmarkPersonal(b *testing.B) {
	const n = 1000
	var series []prompb.TimeSeries
	for i := range n {
		series = append(series, floatV1(testNowMs, 1, "__name__", "node_cpu_seconds_total", "cpu", fmt.Sprint(i%64), "instance", fmt.Sprintf("node-%d.example.com:9100", i), "job", "node-exporter", "mode", "idle"))
	}
	body := requestV1(b, series...)
	every := map[string]pii.Action{}
	for _, name := range pii.Names() {
		every[name] = pii.Mask
	}
	for name, detectors := range map[string]map[string]pii.Action{"off": nil, "all": every} {
		b.Run(name, func(b *testing.B) {
			r := Request{Privacy: privacy(b, detectors)}
			for b.Loop() {
				d := NewDecoder(testLimits(), NewCache(1, 3600_000)) // remembers next to nothing
				if err := d.Decode(&r, V1, testTenant, body, testNowMs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n/5, "ns/label")
		})
	}
}
