package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// attempt is one way to try to see what one may not.
type attempt struct {
	kind, method, path, tenant string
	form                       url.Values
	body                       []byte
}

// attempts makes random ones, of the hour before a full minute.
type attempts struct {
	*rand.Rand
	nowMs int64
}

func pick[T any](a attempts, of ...T) T { return of[a.IntN(len(of))] }

func (a attempts) matcher() string {
	name := pick(a, "__name__", "job", "part", "zone", "i", "tenant", "__tenant__", "part", "nothing", "__tenant_id__", "__tenant_id__", "original___tenant_id__")
	op := pick(a, "=", "!=", "=~", "!~")
	value := pick(a, "up", "", ".*", ".+", "2", "1", "1|2", "[^1]", ".*|1", "(?i)UP", "theirs", "open", "a", "b", "a|b", ".*a.*", "' OR 1=1 --", `') OR tenant = 'a' --`, `\\' UNION SELECT 1 --`, "{tenant:String}", "zq.*", ".{4}-job",
		`\' OR tenant='a`, "') OR (tenant='a') OR ('", "?", "a\x00", "%' OR '%'='", "zq.*|' OR 1=1 --")
	return name + op + fmt.Sprintf("%q", value)
}

func (a attempts) selector() string {
	all := []string{a.matcher()}
	for range a.IntN(3) {
		all = append(all, a.matcher())
	}
	random := pick(a, "", "up", "") + "{" + strings.Join(all, ",") + "}"
	return pick(a, random, random, random, "up", `{__name__=~".+"}`, `{zone=~"zq.*"}`, `{part!="1"}`, `{job=~".+|' OR 1=1 --"}`)
}

func (a attempts) expression() string {
	s := a.selector()
	return pick(a, s, "sum by (job, zone) ("+s+")", "count_over_time("+s+"[5m])", s+" or "+a.selector(), "label_replace("+s+`, "x", "$1", "job", "(.*)")`,
		"topk(5, "+s+")", "info("+s+", "+"{part=~\".*\"})", s+" * on() group_left(zone) "+a.selector(), "absent("+s+")", "max_over_time("+s+"[1h:1m])", "-"+s, "count_values(\"v\", "+s+")", "sort_by_label("+s+", \"job\")")
}

// times are now, or old enough that answers are remembered, or left to the server.
func (a attempts) times(form url.Values) {
	now := a.nowMs / 1000
	start, end := now-60, now
	switch a.IntN(3) {
	case 0:
		form.Set("time", fmt.Sprint(now))
	case 1:
		form.Set("time", fmt.Sprint(now-1800))
		start, end = now-3600, now-1200
	}
	form.Set("start", fmt.Sprint(start))
	form.Set("end", fmt.Sprint(end))
	form.Set("step", pick(a, "30", "60"))
}

func (a attempts) next(t *testing.T) attempt {
	at := attempt{method: "GET", form: url.Values{}, tenant: pick(a, "", "", "a|b", pick(a, "a", "b", "a|b", "b|a", "a|a", "b|b", "a||b", " a | b ", "b|", "a|b|b|a", "b|c", "c|b|c", "b|c|a", "b|z", "z|b", "a|z", "z", "b|c|z", "b|*", "b%7Ca", "*", "A", "anonymous", "a%00", ".", "a,b", "' OR 1=1", "nobody"))}
	prefix := pick(a, "", "/prometheus") + "/api/v1/"
	at.kind = pick(a, "query", "query_range", "series", "labels", "values", "query_exemplars", "read", "federate", "metadata", "status", "status", "query", "query_range")
	switch at.kind {
	case "query", "query_range", "query_exemplars":
		at.path, at.method = prefix+at.kind, pick(a, "GET", "POST")
		at.form.Set("query", a.expression())
		at.form.Set("explain", pick(a, "", "1"))
		a.times(at.form)
	case "series", "labels", "federate":
		at.path = prefix + at.kind
		if at.kind == "federate" {
			at.path = strings.TrimSuffix(prefix, "/api/v1/") + "/federate"
		}
		for range 1 + a.IntN(2) {
			at.form.Add("match[]", a.selector())
		}
		if at.kind == "labels" && a.IntN(2) == 0 {
			at.form.Del("match[]")
		}
	case "values":
		at.path = prefix + "label/" + pick(a, "job", "zone", "__name__", "part", "tenant", "__tenant_id__", "original___tenant_id__", "U__part", "%27%20OR%201%3D1") + "/values"
		if a.IntN(2) == 0 {
			at.form.Add("match[]", a.selector())
		}
	case "metadata":
		at.path = prefix + "metadata"
		at.form.Set("metric", pick(a, "", "up", "%", "' OR 1=1 --", "' OR tenant = 'a"))
	case "status":
		at.path = prefix + pick(a, append(ofWholeTenants, "user_limits", "status/dependencies", "status/retention", "status/config", "status/tsdb/blocks", "rules", "targets", "admin/keys", "admin/users", "admin/audit",
			"admin/erasures", "admin/pii/findings", "admin/tenants", "admin/tenants/a", "admin/tenants/a/limits", "admin/tenants/a/pii", "..%2fadmin/keys", "label/../query")...)
	case "read":
		at.method, at.path, at.body = "POST", prefix+"read", a.read(t)
	}
	return at
}

// ofWholeTenants are below /api/v1/ and not for keys that see a part.
var ofWholeTenants = []string{"status/tsdb", "status/rejections", "status/ha", "user_stats"}

// read is a remote read of random matchers.
func (a attempts) read(t *testing.T) []byte {
	q := &prompb.Query{StartTimestampMs: a.nowMs - 60_000, EndTimestampMs: a.nowMs}
	for range 1 + a.IntN(2) {
		q.Matchers = append(q.Matchers, &prompb.LabelMatcher{Type: prompb.LabelMatcher_Type(a.IntN(4)), Name: pick(a, "job", "zone", "__name__", "part", "tenant", "__tenant_id__"), Value: pick(a, "up", ".+", ".*", "2", "1", "a", "a|b", "b", "' OR '1'='1", "') OR tenant = 'a' --")})
	}
	if a.IntN(2) == 0 {
		q.Matchers = []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: pick(a, "zone", "job", "__name__"), Value: pick(a, "zq.*", ".+")}}
	}
	q.Hints = &prompb.ReadHints{StartMs: q.StartTimestampMs, EndMs: q.EndTimestampMs, Func: pick(a, "", "series", "rate", "sum")}
	r := &prompb.ReadRequest{Queries: []*prompb.Query{q}}
	if a.IntN(2) == 0 {
		r.AcceptedResponseTypes = []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS}
	}
	raw, err := r.Marshal()
	if err != nil {
		t.Error(err)
	}
	return snappy.Encode(nil, raw)
}
