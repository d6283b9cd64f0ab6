package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/tenant/db"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// secret is in all that the tenant a has outside its part 1, in all of z, and in nothing else; so is secretValue. No attempt names
// them.
const (
	secret      = "zq7x"
	secretValue = 424242
)

// fill writes for the tenant a series with secrets and some of part 1, for z secrets, and for b some of its own.
func fill(t *testing.T, w store.Writer) {
	t.Helper()
	b := &store.Batch{}
	now := time.Now().UnixMilli()
	add := func(tenant string, value float64, pairs ...string) {
		ls := labels.FromStrings(pairs...)
		k := store.KeyOf(tenant, ls)
		b.Series = append(b.Series, store.Series{Tenant: tenant, Key: k, Labels: ls, MinMs: now - 60_000, MaxMs: now})
		d, _ := store.DecimalOf(value, 0)
		for ts := now - 60_000; ts <= now; ts += 15_000 {
			b.Samples.Append(k, ts, d)
		}
		b.Exemplars = append(b.Exemplars, store.Exemplar{Key: k, TimeMs: now - 1000, Value: value, Labels: labels.FromStrings("trace", pairs[len(pairs)-1])})
	}
	for i := range 3 {
		id := fmt.Sprint(i)
		add("a", secretValue, "__name__", "up", "i", id, "job", secret+"-job", "part", "2", "zone", secret)
		add("a", secretValue, "__name__", secret+"_total", "i", id, secret+"_label", "x", "part", "2", "zone", secret)
		add("a", 1, "__name__", "up", "i", id, "job", "open", "part", "1")
		add("z", secretValue, "__name__", "up", "i", id, "job", secret+"-job", "part", "1")
		add("b", 2, "__name__", "up", "i", id, "job", "theirs", "part", "1")
	}
	for _, name := range []string{secret, "up"} {
		help := "of " + name
		b.Metadata = append(b.Metadata, store.Metadata{Tenant: "a", Name: name, Type: "counter", Help: help})
	}
	b.Metadata = append(b.Metadata, store.Metadata{Tenant: "b", Name: "up", Type: "gauge", Help: "theirs"})
	if err := w.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

var _ store.Writer = (*memory.Tiers)(nil)

// attempt is one way to try to see what one may not.
type attempt struct {
	method, path, tenant string
	form                 url.Values
	body                 []byte
}

// attempts makes random ones.
type attempts struct{ *rand.Rand }

func pick[T any](a attempts, of ...T) T { return of[a.IntN(len(of))] }

func (a attempts) matcher() string {
	name := pick(a, "__name__", "job", "part", "zone", "i", "tenant", "__tenant__", "part", "nothing", "__tenant_id__", "__tenant_id__", "original___tenant_id__")
	op := pick(a, "=", "!=", "=~", "!~")
	value := pick(a, "up", "", ".*", ".+", "2", "1", "1|2", "[^1]", ".*|1", "(?i)UP", "theirs", "open", "a", "b", "a|b", ".*a.*", "' OR 1=1 --", `') OR tenant = 'a' --`, `\\' UNION SELECT 1 --`, "{tenant:String}", "zq.*", ".{4}-job")
	return name + op + fmt.Sprintf("%q", value)
}

func (a attempts) selector() string {
	all := []string{a.matcher()}
	for range a.IntN(3) {
		all = append(all, a.matcher())
	}
	return pick(a, "", "up", "", "{__name__=~\".+\"}"[:0]) + "{" + strings.Join(all, ",") + "}"
}

func (a attempts) expression() string {
	s := a.selector()
	return pick(a, s, "sum by (job, zone) ("+s+")", "count_over_time("+s+"[5m])", s+" or "+a.selector(), "label_replace("+s+`, "x", "$1", "job", "(.*)")`,
		"topk(5, "+s+")", "info("+s+", "+"{part=~\".*\"})", s+" * on() group_left(zone) "+a.selector(), "absent("+s+")", "max_over_time("+s+"[1h:1m])", "-"+s, `{__name__=~".+"}`, "count_values(\"v\", "+s+")", "sort_by_label("+s+", \"job\")")
}

func (a attempts) next() attempt {
	t := attempt{method: "GET", form: url.Values{}, tenant: pick(a, "", "", "", "a", "b", "a|b", "b|a", "a|a", "b|b", "a||b", " a | b ", "b|", "a|b|b|a", "b|c", "c|b|c", "b|c|a", "b|z", "z|b", "a|z", "z", "b|c|z", "b|*", "b%7Ca", "*", "A", "anonymous", "a%00", ".", "a,b", "' OR 1=1", "nobody")}
	now := float64(time.Now().UnixMilli()) / 1000
	prefix := pick(a, "", "/prometheus")
	switch kind := pick(a, "query", "query_range", "series", "labels", "values", "query_exemplars", "read", "federate", "metadata", "status", "query"); kind {
	case "query", "query_range", "query_exemplars":
		t.path = prefix + "/api/v1/" + kind
		t.form.Set("query", a.expression())
		t.form.Set("time", fmt.Sprint(now))
		t.form.Set("start", fmt.Sprint(now-60))
		t.form.Set("end", fmt.Sprint(now))
		t.form.Set("step", "15")
		t.form.Set("explain", pick(a, "", "1"))
		t.method = pick(a, "GET", "POST")
	case "series", "labels", "federate":
		t.path = prefix + "/api/v1/" + kind
		if kind == "federate" {
			t.path = prefix + "/federate"
		}
		for range 1 + a.IntN(2) {
			t.form.Add("match[]", a.selector())
		}
		if kind == "labels" && a.IntN(2) == 0 {
			t.form.Del("match[]")
		}
	case "values":
		t.path = prefix + "/api/v1/label/" + pick(a, "job", "zone", "__name__", "part", "tenant", "__tenant_id__", "original___tenant_id__", "U__part", "%27%20OR%201%3D1") + "/values"
		if a.IntN(2) == 0 {
			t.form.Add("match[]", a.selector())
		}
	case "metadata":
		t.path = prefix + "/api/v1/metadata"
		t.form.Set("metric", pick(a, "", "up", "%", "' OR 1=1 --"))
	case "status":
		t.path = prefix + "/api/v1/" + pick(a, "status/tsdb", "status/rejections", "status/ha", "status/config", "rules", "targets", "admin/keys", "admin/audit", "admin/tenants/a", "..%2fadmin/keys", "label/../query")
	case "read":
		t.method, t.path, t.body = "POST", prefix+"/api/v1/read", a.read()
	}
	return t
}

// read is a remote read of random matchers.
func (a attempts) read() []byte {
	q := &prompb.Query{StartTimestampMs: time.Now().UnixMilli() - 60_000, EndTimestampMs: time.Now().UnixMilli()}
	for range 1 + a.IntN(2) {
		q.Matchers = append(q.Matchers, &prompb.LabelMatcher{Type: prompb.LabelMatcher_Type(a.IntN(4)), Name: pick(a, "job", "zone", "__name__", "part", "tenant", "__tenant_id__"), Value: pick(a, "up", ".+", ".*", "2", "1", "a", "a|b", "b", "' OR '1'='1")})
	}
	q.Hints = &prompb.ReadHints{StartMs: q.StartTimestampMs, EndMs: q.EndTimestampMs, Func: pick(a, "", "series", "rate", "sum")}
	raw, err := (&prompb.ReadRequest{Queries: []*prompb.Query{q}}).Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, raw)
}

// try sends an attempt and tells whether the answer has a secret.
func (g *guarded) try(t *testing.T, at attempt, key string) (code int, text string, leaks bool) {
	t.Helper()
	path, header := at.path, []string{"Content-Type", "application/x-www-form-urlencoded"}
	var body io.Reader
	switch {
	case at.body != nil:
		body = bytes.NewReader(at.body)
		header = []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "snappy"}
	case at.method == "POST":
		body = strings.NewReader(at.form.Encode())
	default:
		path += "?" + at.form.Encode()
	}
	code, text = g.ask(t, at.method, path, key, at.tenant, body, header...)
	if raw, err := snappy.Decode(nil, []byte(text)); at.body != nil && err == nil {
		var m prompb.ReadResponse
		if err := m.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		text = m.String()
	}
	return code, text, strings.Contains(text, secret) || strings.Contains(text, fmt.Sprint(secretValue))
}

// TestNothingLeaks makes ten thousand random attempts to see what belongs to another tenant, or to a part of the own one
// that the key's selector leaves out, by keys of one tenant and of several. The same attempts with a key that may do show
// it.
func TestNothingLeaks(t *testing.T) {
	g := startGuarded(t)
	fill(t, g.data)
	_, owner := g.key(t, db.Spec{Tenant: "a", Scopes: db.Scopes(), Tenants: []string{"*"}})
	_, other := g.key(t, db.Spec{Tenant: "b", Scopes: db.Scopes()})
	_, part := g.key(t, db.Spec{Tenant: "a", Scopes: []string{"read", "write"}, Selector: `{part="1"}`})
	for _, id := range []string{"c", "z"} {
		if _, err := g.parts.metadata.CreateTenant(t.Context(), root, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, others := g.key(t, db.Spec{Tenant: "b", Scopes: db.Scopes(), Tenants: []string{"c"}})
	_, parts := g.key(t, db.Spec{Tenant: "b", Scopes: []string{"read"}, Tenants: []string{"a", "c"}, Selector: `{part="1"}`})
	person := g.users(t)["stranger"]
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	a := attempts{rand.New(rand.NewPCG(seed, 0))}
	seen, answered := 0, map[string]int{}
	for range 2500 {
		at := a.next()
		for name, key := range map[string]string{"other": other, "part": part, "others": others, "parts": parts, "person": person} {
			code, text, leaks := g.try(t, at, key)
			if leaks || code >= 500 {
				t.Fatalf("%s: %+v: %d %s", name, at, code, text)
			}
			if code == 200 {
				answered[name]++
			}
			if code == 200 && strings.Contains(text, "__tenant_id__") && strings.Contains(at.tenant, "|") {
				answered["several"]++
			}
		}
		if seen < 200 {
			at.tenant = pick(a, "", "a|b", "b|c|a")
			if _, _, leaks := g.try(t, at, owner); leaks {
				seen++
			}
		}
	}
	if seen < 200 || answered["other"] < 200 || answered["part"] < 200 || answered["others"] < 200 || answered["parts"] < 200 || answered["person"] < 200 || answered["several"] < 100 {
		t.Errorf("the attempts are of no use: the owner saw secrets in %d, answers were %v", seen, answered)
	}
}
